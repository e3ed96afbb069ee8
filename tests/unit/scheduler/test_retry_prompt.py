"""What the prompt says about the previous attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heddle import pb
from scheduler_svc.model.prompts.retry_prompt import MAX_BYTES, _quoted, prompt_after

NAME = "runs/r/epics/e/tasks/t/attempts/2"


def check(name: str, output: str, *, ok: bool = False) -> pb.CheckFinished:
    return pb.CheckFinished(name=name, command=f"make {name}", ok=ok, exit_code=0 if ok else 2, output=output)


def test_names_failed_checks_with_their_last_lines() -> None:
    """The reason and each failed check follow the prompt; passed checks are left out."""
    failed = pb.Attempt(
        name=NAME,
        reason="check 'unit' failed with exit code 2",
        kept_ref="refs/heddle/attempts/r/e/t/2",
        checks=[check("lint", "all good", ok=True), check("unit", "collected\nE  assert 1 == 2\n1 failed\n")],
    )
    told = prompt_after("Add search.", failed)
    assert told.startswith("Add search.\n\n---\n[Heddle] Attempt 2 of this task failed: check 'unit'")
    assert "unit (`make unit`), exit code 2:\n    collected\n    E  assert 1 == 2\n    1 failed\n" in told
    assert "git diff HEAD...refs/heddle/attempts/r/e/t/2" in told
    assert "all good" not in told


def test_tells_the_agents_last_words_where_no_check_failed() -> None:
    """If no check failed, the prompt quotes the agent's last message."""
    failed = pb.Attempt(name=NAME, reason="the agent exited with code 1")
    failed.summary.last_lines.extend(["Traceback", "KeyError: 'x'", ""])
    told = prompt_after("Add search.", failed)
    assert "the agent exited with code 1" in told
    assert told.endswith("Its last words:\n    Traceback\n    KeyError: 'x'\n")
    assert "git diff" not in told


def test_keeps_the_end_of_a_long_output() -> None:
    """Long output is truncated at its beginning, and every failed check gets a share of the space."""
    output = "".join(f"line {number}\n" for number in range(10_000))
    failed = pb.Attempt(name=NAME, reason="2 checks failed", checks=[check("a", output), check("b", output)])
    added = prompt_after("", failed)
    assert len(added.encode()) <= MAX_BYTES
    assert added.count("    line 9999\n") == 2
    assert "line 1\n" not in added


@given(
    st.text(max_size=2000),
    st.lists(st.tuples(st.text(max_size=300), st.text(max_size=9000)), max_size=12),
    st.lists(st.text(max_size=3000), max_size=5),
)
def test_never_adds_more_than_it_may(reason: str, checks: list[tuple[str, str]], lines: list[str]) -> None:
    """Whatever failed, the prompt grows by at most 4 KiB."""
    failed = pb.Attempt(name=NAME, reason=reason, checks=[check(*each) for each in checks])
    failed.summary.last_lines.extend(lines)
    assert len(prompt_after("", failed).encode()) <= MAX_BYTES


@pytest.mark.parametrize("size", [4096, 5000])
def test_line_too_long_for_the_room_is_cut(size: int) -> None:
    """Only the end of an extremely long line is quoted."""
    failed = pb.Attempt(name=NAME, reason="no", checks=[check("a", "x" * size + " boom")])
    assert prompt_after("", failed).endswith("xxx boom\n")


@pytest.mark.parametrize("letter", ["x", "é"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_room_is_used_to_the_last_byte(letter: str, count: int) -> None:
    """However many checks share it, and whatever the size of a character in names and reasons."""
    checks = [
        pb.CheckFinished(name=letter * 90, command=letter, exit_code=1, output="y" * 9000)
        for _ in range(count)
    ]
    failed = pb.Attempt(name=NAME, reason=letter * 300, checks=checks)
    assert len(prompt_after("", failed).encode()) == 4096
    assert len(prompt_after(letter * 5000, failed).encode()) == 4096 + len(letter.encode()) * 5000


def test_checks_share_the_room_evenly() -> None:
    """The first of two checks gets half of the room, and what it leaves goes to the second."""
    failed = pb.Attempt(name=NAME, reason="no", checks=[check("a", "x" * 9000), check("b", "y" * 9000)])
    added = prompt_after("", failed)
    assert abs(added.count("x") - added.count("y")) <= 1
    failed = pb.Attempt(name=NAME, reason="no", checks=[check("a", "short"), check("b", "y" * 9000)])
    assert prompt_after("", failed).count("y") > 3500


def test_labels_and_the_reason_are_cut() -> None:
    """A reason may have 1,200 bytes; the name and the command of a check have 200 each."""
    one = pb.CheckFinished(name="n" * 300, command="c" * 300)
    failed = pb.Attempt(name=NAME, reason="r" * 1300, checks=[one])
    added = prompt_after("", failed)
    assert f"failed: {'r' * 1200}.\n" in added
    assert f"\n{'n' * 200} (`{'c' * 200}`), ended by a signal:\n" in added
    assert f"failed: {'é' * 600}.\n" in prompt_after("", pb.Attempt(name=NAME, reason="é" * 900))


@pytest.mark.parametrize(
    ("text", "room", "quoted"),
    [
        ("abc", 2, ""),
        ("abc", 3, "t:\n"),
        # An empty quoted line has five bytes, so there is no room for a part of the line.
        ("abc", 8, "t:\n"),
        ("abc", 9, "t:\n    c\n"),
        ("abc", 10, "t:\n    bc\n"),
        ("abc", 11, "t:\n    abc\n"),
        ("abc", 99, "t:\n    abc\n"),
        # Only the last line is cut; the others are quoted whole or not at all.
        ("wxyz\nabc", 19, "t:\n    abc\n"),
        ("wxyz\nabc", 20, "t:\n    wxyz\n    abc\n"),
        ("a\nlong long\nabc", 17, "t:\n    abc\n"),
        ("éé\né", 18, "t:\n    é\n"),
        ("éé\né", 19, "t:\n    éé\n    é\n"),
        # Half of a character is left out.
        ("éé", 9, "t:\n    \n"),
        ("\n  indented\n\n \n", 99, "t:\n    \n      indented\n"),
    ],
)
def test_quoting_keeps_the_end_that_fits(text: str, room: int, quoted: str) -> None:
    """The title counts; without room for it, nothing is said."""
    assert _quoted("t:\n", text, room) == quoted


def test_a_title_counts_in_bytes() -> None:
    """The room for lines is what the title's bytes leave."""
    assert _quoted("é:\n", "abc", 11) == "é:\n    bc\n"
