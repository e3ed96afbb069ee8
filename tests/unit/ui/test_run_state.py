"""The state of a run as its viewers see it."""

from google.protobuf.timestamp_pb2 import Timestamp

from heddle import pb
from heddle.names import RunName
from ui_svc.feeds.run_state import Board

TASK = "runs/r/epics/e/tasks/t"


def summary(number: int, *lines: str) -> pb.SessionSummary:
    return pb.SessionSummary(
        attempt=f"{TASK}/attempts/{number}", state=pb.ATTEMPT_STATE_RUNNING, last_lines=lines
    )


def board() -> Board:
    it = Board(RunName("r"))
    it.apply(
        pb.WatchRunResponse(
            resume_sequence=3,
            run=pb.Run(name="runs/r", state=pb.RUN_STATE_RUNNING),
            epics=[pb.Epic(name="runs/r/epics/e")],
            tasks=[pb.Task(name=TASK, state=pb.TASK_STATE_RUNNING)],
        )
    )
    return it


def test_changes_are_told_once() -> None:
    """Changes are returned only once; without a new one there is no result."""
    it = board()
    assert set(it.take_changes()) == {"run", "epics", "tasks", "sequence"}
    assert it.take_changes() == {}


def test_many_answers_between_two_frames_become_one_change() -> None:
    """Only the newest state of a session is sent."""
    it = board()
    it.take_changes()
    for number in range(50):
        it.apply(pb.WatchRunResponse(summaries=[summary(1, f"line {number}")]))
    changes = it.take_changes()
    assert [each["lines"] for each in changes["summaries"]] == [["line 49"]]
    assert "tasks" not in changes
    assert it.take_summaries() == set()


def test_what_an_agent_writes_is_due_to_those_who_see_its_card() -> None:
    """After its first summary, a session's lines are no change for everyone; each is taken once."""
    it = board()
    it.apply(pb.WatchRunResponse(summaries=[summary(1, "first")]))
    it.take_changes()
    it.apply(pb.WatchRunResponse(summaries=[summary(1, "second")]))
    assert it.take_changes() == {}
    assert it.take_summaries() == {TASK}
    assert it.take_summaries() == set()
    assert [each["lines"] for each in it.summaries_of([TASK, "runs/r/epics/e/tasks/none"])] == [["second"]]


def test_a_turn_of_a_session_is_a_change_for_everyone() -> None:
    """A new attempt, another state, a question and background work are sent whether or not the card is in sight."""
    it = board()
    turns = [
        summary(1),
        summary(2),
        pb.SessionSummary(attempt=f"{TASK}/attempts/2", state=pb.ATTEMPT_STATE_CHECKING),
        pb.SessionSummary(
            attempt=f"{TASK}/attempts/2",
            state=pb.ATTEMPT_STATE_CHECKING,
            waiting_for=pb.ApprovalRequested(approval_id="a"),
        ),
        pb.SessionSummary(
            attempt=f"{TASK}/attempts/2", state=pb.ATTEMPT_STATE_CHECKING, background=["npm run dev"]
        ),
    ]
    for turn in turns:
        it.take_changes()
        it.apply(pb.WatchRunResponse(summaries=[turn]))
        assert len(it.take_changes()["summaries"]) == 1


def test_a_snapshot_holds_all_whatever_was_sent() -> None:
    """A browser that joins late sees the same as the others."""
    it = board()
    it.take_changes()
    it.apply(pb.WatchRunResponse(resume_sequence=4, summaries=[summary(1, "hello")]))
    snapshot = it.snapshot()
    assert snapshot["sequence"] == 4
    assert snapshot["run"]["state"] == "running"
    assert [task["name"] for task in snapshot["tasks"]] == [TASK]
    assert snapshot["summaries"][0]["lines"] == ["hello"]


def test_an_older_attempt_never_replaces_the_newer_one() -> None:
    """An update of attempt 1 is dropped after one of attempt 2; attempt 10 is newer than 9."""
    it = board()
    it.apply(pb.WatchRunResponse(summaries=[summary(10, "new")]))
    it.apply(pb.WatchRunResponse(summaries=[summary(9, "old")]))
    assert it.snapshot()["summaries"][0]["lines"] == ["new"]


def test_the_sequence_never_goes_back() -> None:
    """A response with only summaries may contain an older sequence, which is ignored."""
    it = board()
    it.apply(pb.WatchRunResponse(resume_sequence=1))
    assert it.sequence == 3


def test_a_task_knows_since_when_it_is_in_its_state() -> None:
    """The time is that of the event that began the state, however late it is read."""
    it = board()
    it.take_changes()
    waiting = pb.Event(
        time=Timestamp(seconds=9), epic="e", task="t", task_waiting=pb.TaskWaiting(reason="question")
    )
    it.apply(pb.WatchRunResponse(resume_sequence=4, events=[waiting]))
    assert it.take_changes()["tasks"][0]["since"] == 9000
    parked = pb.Event(
        time=Timestamp(seconds=29),
        epic="e",
        task="t",
        task_waiting=pb.TaskWaiting(reason="question", parked=True),
    )
    it.apply(pb.WatchRunResponse(resume_sequence=5, events=[parked]))
    # It waits for the same answer.
    assert it.take_changes()["tasks"][0]["since"] == 9000
    answered = pb.Event(
        time=Timestamp(seconds=40), epic="e", task="t", approval_resolved=pb.ApprovalResolved(approval_id="a")
    )
    it.apply(pb.WatchRunResponse(resume_sequence=6, events=[answered]))
    assert it.take_changes()["tasks"][0]["since"] == 40_000
