"""Which waiting sessions release their slots."""

from dataclasses import replace

from heddle import pb
from scheduler_svc.policy.actions import DenyOverdue, FinishEpic, MergeEpic, ParkAttempt, SkipTask, StartTask
from scheduler_svc.policy.decision import decide
from scheduler_svc.policy.simulated_runs import Board
from scheduler_svc.policy.snapshot import EpicView
from tests.support.scheduling import a_run, a_snapshot, an_epic

PENDING, WAITING = pb.TASK_STATE_PENDING, pb.TASK_STATE_WAITING


def asking(key: str, since: int = 1, *, parkable: bool = True) -> EpicView:
    """Returns an epic whose first task has asked the operator since then, followed by a second task."""
    epic = an_epic(key, WAITING, PENDING)
    first = replace(epic.tasks[0], asked_at=since, parkable=parkable)
    return replace(epic, tasks=(first, *epic.tasks[1:]))


def parked(actions: list[object]) -> list[str]:
    return [action.attempt.epic for action in actions if isinstance(action, ParkAttempt)]


def test_a_waiting_session_keeps_a_slot_that_nobody_needs() -> None:
    """If no epic could use its slot, no session is parked."""
    later = an_epic("b", PENDING, depends_on=("a",), state=pb.EPIC_STATE_BLOCKED)

    assert decide(a_snapshot(a_run(asking("a"), later), slots=1)) == []


def test_the_one_that_waits_longest_is_parked() -> None:
    """For each epic without a slot one session is parked, the oldest question first."""
    run = a_run(asking("a", 5), asking("b", 3), asking("c", 4), an_epic("d", PENDING), max_parallel=3)

    assert parked([*decide(a_snapshot(run))]) == ["b"]
    assert parked([*decide(a_snapshot(replace(run, max_parallel=100), slots=3))]) == ["b"]
    assert parked([*decide(a_snapshot(replace(run, max_parallel=4)))]) == []


def test_a_session_of_another_run_is_parked_for_a_slot_of_the_worker() -> None:
    """Slots belong to the worker; a run at its limit must free one of its own."""
    other = replace(a_run(an_epic("x", PENDING)), name=a_run().name._replace(run="other"))
    waiting = a_run(asking("a"), state=pb.RUN_STATE_PAUSED)

    assert parked([*decide(a_snapshot(waiting, other, slots=1))]) == ["a"]
    assert parked([*decide(a_snapshot(waiting, replace(other, max_parallel=0), slots=2))]) == []


def test_a_session_that_is_parked_frees_exactly_one_slot_of_its_run() -> None:
    """A run that parked a session next takes the worker's oldest, then one of its own."""
    names = [a_run().name._replace(run=run) for run in ("needs", "gives", "waits")]
    needs = replace(a_run(an_epic("x", PENDING)), name=names[0])
    waiting = (asking("a", 1), asking("b", 4))
    gives = replace(
        a_run(*waiting, an_epic("c", PENDING), an_epic("d", PENDING), max_parallel=2), name=names[1]
    )
    waits = replace(a_run(asking("y", 3), asking("z", 2), state=pb.RUN_STATE_PAUSED), name=names[2])

    assert parked([*decide(a_snapshot(needs, gives, waits, slots=4))]) == ["a", "z", "b"]


def test_a_slot_that_is_about_to_be_free_saves_a_session() -> None:
    """The slot of a session that is being stopped counts as free."""
    ending = an_epic("e", pb.TASK_STATE_RUNNING)
    ending = replace(ending, tasks=(replace(ending.tasks[0], stopping=True),))
    run = a_run(asking("a"), ending, an_epic("b", PENDING), max_parallel=2)

    assert parked([*decide(a_snapshot(run))]) == []


def test_an_agent_that_cannot_go_on_later_keeps_its_slot() -> None:
    """A session is parked only if it can be resumed."""
    run = a_run(asking("a", parkable=False), an_epic("b", PENDING), max_parallel=1)

    assert decide(a_snapshot(run)) == []


def test_an_answered_task_goes_before_all_others() -> None:
    """An answered task gets the first free slot whatever the priorities; then its epic continues in order."""
    board = Board(a_snapshot(a_run(asking("a"), an_epic("b", PENDING, priority=1), max_parallel=1)))
    assert parked([*board.settle()]) == ["a"]
    assert [task.name.epic for task in board.live()] == ["b"]
    waiting = board.runs[next(iter(board.runs))].epics[0]
    assert waiting.busy

    board.change_task(waiting.tasks[0].name, state=PENDING, resumes=True)
    board.change_epic(board.live()[0].name.parent, priority=1)
    board.end_attempt(board.live()[0].name, pb.TASK_STATE_ACCEPTED)

    starts = [action for action in board.settle() if isinstance(action, StartTask)]
    assert [(start.attempt.epic, start.attempt.number) for start in starts] == [("a", 2)]


def test_a_parked_task_keeps_its_epic_open() -> None:
    """Neither the next task nor the merge starts before the answer."""
    epic = asking("a")
    first = replace(epic.tasks[0], live_attempt=None, parkable=False)

    assert decide(a_snapshot(a_run(replace(epic, tasks=(first, epic.tasks[1]))))) == []
    assert decide(a_snapshot(a_run(replace(epic, tasks=(first,))))) == []


def test_a_question_that_nobody_answers_is_denied_while_parked() -> None:
    """The wait continues without a session, even while the run is paused."""
    epic = asking("a")
    first = replace(epic.tasks[0], live_attempt=None, parkable=False, overdue=True)
    run = a_run(replace(epic, tasks=(first, epic.tasks[1])), state=pb.RUN_STATE_PAUSED)

    assert decide(a_snapshot(run)) == [DenyOverdue(first.name.attempt(1))]


def test_a_cancelled_run_waits_for_no_answer() -> None:
    """When a run is cancelled, its parked task is skipped, and the epic ends."""
    epic = asking("a")
    first = replace(epic.tasks[0], live_attempt=None, parkable=False)
    run = a_run(replace(epic, tasks=(first, epic.tasks[1])), state=pb.RUN_STATE_CANCELLING)

    actions = Board(a_snapshot(run)).settle()

    assert [action.task.task for action in actions if isinstance(action, SkipTask)] == ["t1", "t2"]
    assert any(isinstance(action, FinishEpic) for action in actions)
    assert not any(isinstance(action, MergeEpic) for action in actions)


def ending(key: str) -> EpicView:
    """Returns an epic whose session is being stopped."""
    epic = an_epic(key, pb.TASK_STATE_RUNNING)
    return replace(epic, tasks=(replace(epic.tasks[0], stopping=True),))


def test_slots_of_the_worker_that_are_about_to_be_free_are_used_first() -> None:
    """Each saves one session; only what still lacks a slot parks another, the oldest question first."""
    needs = [an_epic(key, PENDING) for key in "bcd"]
    one = a_run(asking("a"), ending("e"), needs[0])
    assert parked([*decide(a_snapshot(one, slots=2))]) == []
    two = a_run(asking("a"), ending("e"), *needs[:2])
    assert parked([*decide(a_snapshot(two, slots=2))]) == ["a"]
    three = a_run(asking("a", 1), asking("x", 2), ending("e"), ending("f"), *needs)
    assert parked([*decide(a_snapshot(three, slots=4))]) == ["a"]


def test_a_run_that_fills_up_with_freed_slots_parks_its_own() -> None:
    """Up to its limit it uses the slots that are about to be free; beyond it, only its own sessions count."""
    other = replace(a_run(asking("y", 1), state=pb.RUN_STATE_PAUSED), name=a_run().name._replace(run="other"))
    sessions = (asking("a", 5), ending("e"), ending("f"))
    two = a_run(*sessions, an_epic("b", PENDING), an_epic("c", PENDING), max_parallel=3)
    assert parked([*decide(a_snapshot(two, other, slots=4))]) == []
    three = a_run(*sessions, *(an_epic(key, PENDING) for key in "bcd"), max_parallel=3)
    assert parked([*decide(a_snapshot(three, other, slots=4))]) == ["a"]


def test_each_epic_up_to_the_limit_of_its_run_gets_a_slot() -> None:
    """A run takes as many sessions of another run as it can start tasks."""
    other = replace(
        a_run(asking("y", 2), asking("z", 1), state=pb.RUN_STATE_PAUSED), name=a_run().name._replace(run="o")
    )
    run = a_run(*(an_epic(key, PENDING) for key in "bcd"), max_parallel=2)
    assert parked([*decide(a_snapshot(run, other, slots=2))]) == ["z", "y"]
