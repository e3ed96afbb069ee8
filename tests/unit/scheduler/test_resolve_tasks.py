"""The prompt of a task that resolves a merge explains the changes of both sides in each file."""

from heddle import pb
from scheduler_svc.commands.merges.resolve_tasks import prompt

OURS, THEIRS = "a" * 40, "b" * 40


def test_files_with_and_without_markers_are_told_apart() -> None:
    """Files with markers are listed; others have git's text, with branch names, and how to keep them."""
    conflict = pb.MergeConflicted(
        target_branch="heddle/r1/merged",
        files=["app.py", "gone"],
        hunks=[
            pb.ConflictHunk(file="app.py", line=3, text="<<<<<<<\n"),
            pb.ConflictHunk(file="gone", text=f"gone deleted in {OURS} and modified in {THEIRS}."),
        ],
        source_commit=OURS,
        target_commit=THEIRS,
    )
    lines = list(prompt(conflict))
    assert lines.index("- app.py") < lines.index("- gone")
    assert "    gone deleted in this branch and modified in heddle/r1/merged." in lines
    assert any(".heddle/keep" in line for line in lines)
    markers = next(line for line in lines if "<<<<<<<" in line)
    assert lines[lines.index(markers) + 1] == "- app.py"
    assert lines[lines.index(markers) + 2] != "- gone"


def test_without_markers_none_are_spoken_of() -> None:
    """If no file has markers, the prompt does not mention markers."""
    conflict = pb.MergeConflicted(
        target_branch="t", files=["gone"], hunks=[pb.ConflictHunk(file="gone", text="deleted")]
    )
    assert not any("<<<<<<<" in line for line in prompt(conflict))
