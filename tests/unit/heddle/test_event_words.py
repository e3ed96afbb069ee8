"""The text that describes each event."""

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from heddle import pb
from heddle.events.kinds import OPTIONS
from heddle.events.words import describe, explain


@pytest.mark.parametrize("kind", OPTIONS)
def test_every_kind_of_event_has_words(kind: str) -> None:
    """Every event of the contract, even an empty one, is described by text instead of its field name."""
    event = pb.Event(sequence=3)
    getattr(event, kind).SetInParent()
    words = describe(event)
    assert words or OPTIONS[kind].text
    assert kind not in words or "_" not in kind


def test_a_kind_from_the_future_is_no_error() -> None:
    """An event kind of a newer server is shown as unknown."""
    assert "does not know" in describe(pb.Event())


def test_an_outcome_from_the_future_is_no_error() -> None:
    """An outcome of a newer server is shown as unknown."""
    ended = pb.SessionFinished(outcome=99)  # type: ignore[arg-type]  # not known on purpose
    assert describe(pb.Event(session_finished=ended)) == "session unknown"


def test_a_check_tells_what_its_reports_say() -> None:
    """Test counts, coverage and findings follow the duration; absent values are left out."""
    event = pb.Event(check_finished=pb.CheckFinished(name="tests", duration=Duration(seconds=3)))
    assert describe(event) == "✗ check tests (3.0s)"
    event.check_finished.tests.passed = 2
    event.check_finished.coverage.MergeFrom(pb.Coverage(lines_covered=3, lines_valid=4))
    event.check_finished.findings.errors = 1
    told = "tests: 2 passed, 0 failed, coverage: 75.0%, findings: 1 error, 0 warnings)"
    assert describe(event).endswith(told)


def test_what_fixes_a_failure_follows_it() -> None:
    """Setup output and advice on a conflict are on further lines, and only on request."""
    setup = pb.SetupFinished(command="make", exit_code=2, output="no rule\n", duration=Duration(seconds=1))
    event = pb.Event(setup_finished=setup)
    assert describe(event) == "✗ setup: 'make' failed with exit code 2"
    assert explain(event) == "✗ setup: 'make' failed with exit code 2\nno rule"
    merge = pb.Event(merge_conflicted=pb.MergeConflicted(target_branch="main", files=["a", "b"]))
    assert explain(merge) == "conflicts with main in a, b"
    merge.merge_conflicted.failed_checks.add(name="tests")
    merge.merge_conflicted.advice = "git merge"
    assert explain(merge) == "merged with main, it fails its checks (tests)\ngit merge"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            pb.Event(run_created=pb.RunCreated(title="T", epic_count=1, task_count=2, max_parallel=3)),
            "run created: T (1 epic, 2 tasks, at most 3 sessions in parallel)",
        ),
        (
            pb.Event(
                run_finished=pb.RunFinished(outcome=pb.OUTCOME_FAILED, tasks_accepted=2, tasks_failed=1)
            ),
            "run failed (2 accepted, 1 failed)",
        ),
        (
            pb.Event(task_accepted=pb.TaskAccepted(commit="abc", no_changes=True)),
            "accepted as abc (no changes)",
        ),
        (pb.Event(task_accepted=pb.TaskAccepted()), "accepted"),
        (
            pb.Event(
                changes_found=pb.ChangesFound(
                    kept_ref="refs/x",
                    diff_stat=pb.DiffStat(files=1, insertions=2),
                    after_attempt="runs/r/epics/e/tasks/t/attempts/1",
                )
            ),
            "worktree changed after t/1 had ended (1 file, +2 -0); the changes are stored at refs/x",
        ),
        (
            pb.Event(ignored_files_left=pb.IgnoredFilesLeft(paths=["lib/u"], count=3)),
            "not in the commit, as git ignores them: lib/u, and 2 more",
        ),
        (
            pb.Event(
                submodules_not_filled=pb.SubmodulesNotFilled(
                    submodules=[pb.UnfilledSubmodule(path="lib", reason="its remote is gone")], count=3
                )
            ),
            (
                "submodules that could not be filled, so the agent does not have their files: lib (its remote is gone); and 2 more."
                " Update them in your checkout (git submodule update --init --recursive), then retry the task"
            ),
        ),
        (
            pb.Event(
                time=Timestamp(seconds=100),
                task_failed=pb.TaskFailed(
                    reason="no", will_retry=True, kept_ref="refs/y", retry_time=Timestamp(seconds=130)
                ),
            ),
            "failed: no; another attempt follows in 30s; its work is stored at refs/y",
        ),
        (pb.Event(task_waiting=pb.TaskWaiting(reason="May I?")), "waits for you: May I?"),
        (
            pb.Event(
                review_requested=pb.ReviewRequested(
                    agent="codex", round=2, diff_stat=pb.DiffStat(files=1, insertions=2)
                )
            ),
            "review by codex requested, round 2 (1 file, +2 -0)",
        ),
        (
            pb.Event(
                review_finished=pb.ReviewFinished(
                    attempt=1, agent="codex", rejected=True, errors=2, warnings=1
                )
            ),
            "review by codex rejected attempt 1: 2 errors, 1 warning",
        ),
        (
            pb.Event(review_finished=pb.ReviewFinished(attempt=1, agent="codex")),
            "review by codex passed attempt 1: nothing found",
        ),
        (
            pb.Event(task_waiting=pb.TaskWaiting(reason="rate limited", until=Timestamp(seconds=1))),
            "rate limited",
        ),
        (pb.Event(task_reopened=pb.TaskReopened()), "reopened"),
        (pb.Event(task_reopened=pb.TaskReopened(commit="abc")), "reopened; commit abc is set aside"),
        (
            pb.Event(tool_finished=pb.ToolFinished(ok=True, duration=Duration(seconds=2))),
            "✓ done in 2.0s",
        ),
        (
            pb.Event(usage=pb.Usage(model="m", input_tokens=5, cost_usd_micros=2_500, estimated=True)),
            "m: 5 tokens in, 0 out, ~$0.0025",
        ),
        (
            pb.Event(background_work=pb.BackgroundWork(stopped=["sleep 9"], count=1)),
            "stopped 1 background task: sleep 9",
        ),
        (
            pb.Event(
                background_work=pb.BackgroundWork(running=["a", "b"], count=2, limit=Duration(seconds=60))
            ),
            "waits up to 1m 00s for 2 background tasks: a; b",
        ),
        (pb.Event(background_work=pb.BackgroundWork()), "no background task is running any more"),
        (
            pb.Event(
                surroundings_changed=pb.SurroundingsChanged(paths=["/a"], count=2, also_running=["runs/r"])
            ),
            "files outside the worktree changed during the session (1 other session ran at the same time): /a, and 1 more",
        ),
        (
            pb.Event(conflict_predicted=pb.ConflictPredicted(with_epic="ui", files=["a", "b"])),
            "will conflict with ui in a, b",
        ),
        (
            pb.Event(wrote_outside=pb.WroteOutside(paths=["a"], path_count=1)),
            "wrote paths outside its `touches`: a",
        ),
        (
            pb.Event(
                budget_reached=pb.BudgetReached(budget_usd_micros=1_000_000, spent_usd_micros=1_200_000)
            ),
            "budget of $1.00 reached, $1.20 spent",
        ),
    ],
)
def test_what_happened_is_a_plain_sentence(event: pb.Event, words: str) -> None:
    """The text contains each fact of the payload that a reader needs for a decision."""
    assert describe(event) == words


def test_a_parked_session_has_not_ended() -> None:
    """A session that waits for the operator says so, instead of naming its internal state."""
    parked = pb.SessionFinished(outcome=pb.OUTCOME_PARKED)
    assert describe(pb.Event(session_finished=parked)) == "session paused until its question is answered"
