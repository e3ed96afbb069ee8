import pytest

from heddle import pb
from heddle.cli.console import event_lines
from heddle.cli.console.transcript import Transcript

KINDS = [field.name for field in pb.Event.DESCRIPTOR.oneofs_by_name["payload"].fields]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_event_has_words(kind: str) -> None:
    """No event of the contract is shown by its field's name, not even an empty one."""
    event = pb.Event(sequence=3)
    getattr(event, kind).SetInParent()
    assert kind in event_lines._WORDS
    assert event_lines.line(event).startswith("    3  ")


def test_a_kind_from_the_future_is_no_error() -> None:
    """A newer server's events are shown as unknown."""
    assert "does not know" in event_lines.describe(pb.Event())


def test_line_says_where_it_happened() -> None:
    """A line names epic, task and attempt where they apply."""
    event = pb.Event(sequence=12, epic="api", task="model", attempt=2)
    event.task_failed.reason = "a check failed"
    event.task_failed.will_retry = True
    assert event_lines.line(event).endswith("api/model/2: failed: a check failed; another attempt follows")


def test_line_is_one_line() -> None:
    """A reason with line breaks stays on the line of its event."""
    event = pb.Event(sequence=1, merge_conflicted=pb.MergeConflicted(files=["a"], advice="git x\ngit y"))
    assert event_lines.line(event).endswith("conflicts in a: | git x | git y")


def test_transcript_joins_the_pieces_of_a_message() -> None:
    """A message that came in pieces reads as one; what follows begins on its own line."""
    said = [
        pb.Event(message=pb.Message(text="I will ")),
        pb.Event(message=pb.Message(text="write it.", last=True)),
        pb.Event(output=pb.Output(text="half a line")),
        pb.Event(tool_started=pb.ToolStarted(name="Edit", target="a.py")),
        pb.Event(output=pb.Output(text="whole\n")),
        pb.Event(session_finished=pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)),
    ]
    transcript = Transcript()
    text = "".join(transcript.text(event) for event in said)
    assert text == "I will write it.\nhalf a line\n[⚡ Edit a.py]\nwhole\n[session succeeded]\n"


def test_transcript_ends_a_message_whose_last_piece_is_empty() -> None:
    """An empty last piece still ends the line."""
    transcript = Transcript()
    text = transcript.text(pb.Event(message=pb.Message(text="done")))
    text += transcript.text(pb.Event(message=pb.Message(last=True)))
    assert text == "done\n"


def test_a_check_tells_what_its_reports_say() -> None:
    """Counts of tests, coverage and findings stand beside the time that it took; what is absent does not."""
    event = pb.Event(epic="api", task="model", attempt=2)
    event.check_finished.name = "tests"
    event.check_finished.duration.seconds = 3
    assert event_lines.line(event).endswith("check tests (3.0s)")
    event.check_finished.tests.passed = 2
    event.check_finished.coverage.MergeFrom(pb.Coverage(lines_covered=3, lines_valid=4))
    event.check_finished.findings.errors = 1
    told = "tests: 2 passed, 0 failed, coverage: 75.0%, findings: 1 errors, 0 warnings)"
    assert event_lines.line(event).endswith(told)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            pb.Event(task_accepted=pb.TaskAccepted(commit="abc", no_changes=True)),
            "accepted as abc (it changed nothing)",
        ),
        (
            pb.Event(
                changes_found=pb.ChangesFound(
                    kept_ref="refs/x",
                    diff_stat=pb.DiffStat(files=1, insertions=2),
                    after_attempt="runs/r/epics/e/tasks/t/attempts/1",
                )
            ),
            "its worktree was changed by no attempt after t/1 had ended (1 file, +2 -0); that is kept at refs/x",
        ),
        (
            pb.Event(ignored_files_left=pb.IgnoredFilesLeft(paths=["lib/u"], count=3)),
            "git ignores what it also wrote, so its commit lacks it: lib/u, and 2 more",
        ),
    ],
)
def test_what_is_not_plainly_good_is_said(event: pb.Event, words: str) -> None:
    """An empty change, changes by hand, and files that git ignores."""
    assert event_lines.describe(event) == words


def test_what_a_sub_agent_does_is_marked() -> None:
    """Its words and its calls are told apart from those of the agent that asked it."""
    said = [
        pb.Event(message=pb.Message(text="I ask it.", last=True)),
        pb.Event(message=pb.Message(text="I look.", last=True, parent_tool_call_id="1")),
        pb.Event(tool_started=pb.ToolStarted(name="Read", target="a.py", parent_tool_call_id="1")),
    ]
    transcript = Transcript()
    assert "".join(map(transcript.text, said)) == "I ask it.\n↳ I look.\n[↳ ⚡ Read a.py]\n"
