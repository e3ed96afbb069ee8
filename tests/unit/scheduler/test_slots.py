"""Which tasks start, on which worker and in which order."""

from dataclasses import replace
from typing import Any

import pytest

from heddle import pb
from heddle.names import RunName
from scheduler_svc.policy.actions import Action, ReadyEpic, StartTask
from scheduler_svc.policy.decision import decide
from scheduler_svc.policy.slots import is_ready
from scheduler_svc.policy.snapshot import RunView, Snapshot, WorkerView
from tests.support.scheduling import WORKER, a_run, a_snapshot, a_task, an_epic

PENDING = pb.TASK_STATE_PENDING
RUNNING = pb.TASK_STATE_RUNNING
WAITING = pb.TASK_STATE_WAITING
ACCEPTED = pb.TASK_STATE_ACCEPTED
FAILED = pb.TASK_STATE_FAILED


def started(actions: list[Action]) -> list[str]:
    """Returns the tasks that start, in order, as EPIC/TASK."""
    attempts = [action.attempt for action in actions if isinstance(action, StartTask)]
    return [f"{attempt.epic}/{attempt.task}" for attempt in attempts]


def another_run(key: str, run: RunView, **changes: Any) -> RunView:
    """Returns a copy of `run` under another name."""
    epics = tuple(
        replace(
            epic,
            name=epic.name._replace(run=key),
            tasks=tuple(
                replace(
                    task,
                    name=task.name._replace(run=key),
                    live_attempt=task.live_attempt and task.live_attempt._replace(run=key),
                )
                for task in epic.tasks
            ),
        )
        for epic in run.epics
    )
    return replace(run, name=RunName(key), epics=epics, **changes)


def test_starts_the_first_pending_task_of_each_epic() -> None:
    """Different epics start at the same time, each with its first task."""
    run = a_run(an_epic("a", PENDING, PENDING), an_epic("b", ACCEPTED, PENDING))
    assert sorted(started(decide(a_snapshot(run)))) == ["a/t1", "b/t2"]


@pytest.mark.parametrize("state", [RUNNING, WAITING])
def test_runs_one_task_of_an_epic_at_a_time(state: "pb.TaskState.ValueType") -> None:
    """An epic with a running or waiting task starts no other."""
    assert decide(a_snapshot(a_run(an_epic("a", state, PENDING)))) == []


def test_waits_for_an_attempt_that_is_winding_down() -> None:
    """A task that will be retried does not start while its last attempt is live."""
    epic = an_epic("a")
    task = a_task("t1", attempts=1)
    lingering = replace(task, live_attempt=task.name.attempt(1))
    assert decide(a_snapshot(a_run(replace(epic, tasks=(lingering,))))) == []


def test_numbers_attempts_onwards() -> None:
    """A retried task gets the next attempt number."""
    epic = replace(an_epic("a"), tasks=(a_task("t1", attempts=2),))
    [action] = decide(a_snapshot(a_run(epic)))
    assert isinstance(action, StartTask)
    assert action.attempt.number == 3


def test_keeps_to_the_limit_of_the_run() -> None:
    """Running and waiting sessions count against max_parallel."""
    run = a_run(
        an_epic("a", RUNNING),
        an_epic("b", PENDING),
        an_epic("c", WAITING),
        an_epic("d", PENDING),
        max_parallel=3,
    )
    assert len(started(decide(a_snapshot(run)))) == 1


def test_keeps_to_the_slots_of_a_worker_over_all_its_runs() -> None:
    """A slot used by one run is not given to another, even if the first is paused."""
    paused = another_run("p", a_run(an_epic("a", RUNNING), an_epic("b", RUNNING)), state=pb.RUN_STATE_PAUSED)
    waiting = a_run(an_epic("a", PENDING), an_epic("b", PENDING))
    assert len(started(decide(a_snapshot(paused, waiting, slots=3)))) == 1


def test_starts_nothing_on_a_worker_that_is_not_connected() -> None:
    """A run with an unreachable worker waits, and others continue."""
    away = another_run("x", a_run(an_epic("a", PENDING)), worker="away")
    here = a_run(an_epic("b", PENDING))
    assert started(decide(a_snapshot(away, here))) == ["b/t1"]


def test_starts_nothing_without_any_worker() -> None:
    """Without a connected worker all runs wait."""
    assert started(decide(Snapshot((a_run(an_epic("a", PENDING)),), ()))) == []


def test_starts_nothing_in_a_paused_run() -> None:
    """A paused run starts no task."""
    assert decide(a_snapshot(a_run(an_epic("a", PENDING), state=pb.RUN_STATE_PAUSED))) == []


def test_starts_tasks_of_a_run_that_is_pending() -> None:
    """A pending run starts automatically."""
    run = a_run(an_epic("a", PENDING), state=pb.RUN_STATE_PENDING)
    assert started(decide(a_snapshot(run))) == ["a/t1"]


def test_holds_an_epic_until_its_dependencies_are_merged() -> None:
    """An epic whose tasks are all accepted blocks its dependents until it is merged."""
    merging = an_epic("a", ACCEPTED, state=pb.EPIC_STATE_MERGING, merging=True)
    blocked = an_epic("b", PENDING, state=pb.EPIC_STATE_BLOCKED, depends_on=("a",))
    assert decide(a_snapshot(a_run(merging, blocked))) == []


def test_readies_and_starts_an_epic_once_its_dependencies_are_merged() -> None:
    """An epic becomes ready and starts in the same round."""
    merged = an_epic("a", ACCEPTED, state=pb.EPIC_STATE_SUCCEEDED, merged=True)
    blocked = an_epic("b", PENDING, state=pb.EPIC_STATE_BLOCKED, depends_on=("a",))
    actions = decide(a_snapshot(a_run(merged, blocked)))
    assert actions[0] == ReadyEpic(blocked.name)
    assert started(actions) == ["b/t1"]


def test_prefers_explicit_priority() -> None:
    """A lower priority number starts first, even with little work."""
    run = a_run(an_epic("a", PENDING, PENDING, PENDING), an_epic("b", PENDING, priority=1))
    assert started(decide(a_snapshot(run, slots=1))) == ["b/t1"]


def test_prefers_the_most_remaining_work() -> None:
    """At equal priority, the epic with the most remaining work starts first; done work does not count."""
    run = a_run(
        an_epic("a", ACCEPTED, ACCEPTED, ACCEPTED, PENDING),
        an_epic("b", PENDING, PENDING),
        an_epic("c", PENDING, PENDING),
    )
    assert started(decide(a_snapshot(run, slots=2))) == ["b/t1", "c/t1"]


def test_prefers_estimates_to_counts() -> None:
    """One long task outweighs three short ones."""
    short = tuple(a_task(f"t{place}", epic="a", estimate=10.0) for place in range(3))
    run = a_run(an_epic("a", tasks=short), an_epic("b", tasks=(a_task("t1", epic="b", estimate=100.0),)))
    assert started(decide(a_snapshot(run, slots=1))) == ["b/t1"]


def test_uses_learned_durations_where_there_is_no_estimate() -> None:
    """A task without an estimate counts with the usual duration of tasks."""
    run = a_run(
        an_epic("a", tasks=(a_task("t1", epic="a", estimate=50.0),)),
        an_epic("b", tasks=(a_task("t1", epic="b"),)),
    )
    snapshot = a_snapshot(run, slots=1)
    assert started(decide(replace(snapshot, typical_seconds=80.0))) == ["b/t1"]
    assert started(decide(replace(snapshot, typical_seconds=20.0))) == ["a/t1"]


def test_prefers_an_epic_that_much_work_waits_for() -> None:
    """The work of dependents counts for the epic that they depend on."""
    run = a_run(
        an_epic("a", PENDING, PENDING),
        an_epic("b", PENDING),
        an_epic("c", PENDING, PENDING, state=pb.EPIC_STATE_BLOCKED, depends_on=("b",)),
    )
    assert started(decide(a_snapshot(run, slots=1))) == ["b/t1"]


def test_shares_slots_between_runs() -> None:
    """The run with fewer sessions has priority, then the older one."""
    busy = a_run(an_epic("a", RUNNING), an_epic("b", PENDING), an_epic("c", PENDING))
    idle = another_run("i", a_run(an_epic("d", PENDING), an_epic("e", PENDING)))
    assert started(decide(a_snapshot(busy, idle, slots=4))) == ["d/t1", "b/t1", "e/t1"]


def test_says_the_same_for_the_same_snapshot() -> None:
    """The same snapshot gives the same decision."""
    snapshot = a_snapshot(a_run(*(an_epic(key, PENDING) for key in "abcdef")), slots=3)
    assert decide(snapshot) == decide(snapshot)


def test_uses_each_worker_for_its_own_runs() -> None:
    """A run cannot use free slots of another worker."""
    run = a_run(an_epic("a", PENDING), an_epic("b", PENDING))
    workers = (WorkerView(WORKER, 1), WorkerView("other", 5))
    assert len(started(decide(Snapshot((run,), workers)))) == 1


def test_paced_tasks_wait() -> None:
    """An epic whose next task is delayed gives its slot to another; its later tasks keep their order."""
    held = an_epic("a", PENDING, PENDING)
    held = replace(held, tasks=(replace(held.tasks[0], paced=True), held.tasks[1]))

    assert started(decide(a_snapshot(a_run(held, an_epic("b", PENDING)), slots=1))) == ["b/t1"]


@pytest.mark.parametrize(
    ("state", "done", "causes", "ready"),
    [
        (pb.EPIC_STATE_RUNNING, set(), (), True),
        (pb.EPIC_STATE_RUNNING, set(), ("a",), False),
        (pb.EPIC_STATE_FAILED, {"x"}, (), False),
        (pb.EPIC_STATE_BLOCKED, {"x"}, (), False),
        (pb.EPIC_STATE_BLOCKED, {"x", "y", "z"}, (), True),
        (pb.EPIC_STATE_BLOCKED, {"x", "y"}, ("b",), True),
    ],
)
def test_which_epics_lack_only_a_slot(
    state: "pb.EpicState.ValueType", done: set[str], causes: tuple[str, ...], ready: bool
) -> None:
    """An ended epic and one that must not continue never run; a blocked one needs all of its dependencies."""
    epic = an_epic("a", PENDING, state=state, depends_on=("x", "y"))
    assert is_ready(epic, done, causes) is ready


@pytest.mark.parametrize(("faulty", "starts"), [(True, ["b/t1"]), (False, [])])
def test_an_attempt_that_waits_for_its_environment_lends_its_slot(faulty: bool, starts: list[str]) -> None:
    """A run with a fault keeps no slot for attempts without a session."""
    waiting = an_epic("a", RUNNING)
    waiting = replace(waiting, tasks=(replace(waiting.tasks[0], starting=True),))
    stuck = another_run("s", a_run(waiting), faulty=faulty)
    assert started(decide(a_snapshot(stuck, a_run(an_epic("b", PENDING)), slots=1))) == starts
    two = a_run(an_epic("b", PENDING), an_epic("c", PENDING))
    assert len(started(decide(a_snapshot(stuck, two, slots=2)))) == 1 + faulty


def test_an_answered_task_is_first() -> None:
    """It gets the only slot, although another epic has a better priority and more work."""
    answered = an_epic("a", PENDING)
    answered = replace(answered, tasks=(replace(answered.tasks[0], resumes=True),))
    run = a_run(an_epic("b", PENDING, PENDING, priority=1), answered, an_epic("c", PENDING, priority=2))
    assert started(decide(a_snapshot(run, slots=1))) == ["a/t1"]


def test_an_ended_epic_adds_no_work() -> None:
    """Between epics with the same remaining work, the earlier one of the plan starts."""
    ended = an_epic("y", PENDING, state=pb.EPIC_STATE_DROPPED, depends_on=("x",))
    x, z = an_epic("x", PENDING), an_epic("z", PENDING)
    assert started(decide(a_snapshot(a_run(z, x, ended), slots=1))) == ["z/t1"]
    assert started(decide(a_snapshot(a_run(x, z, ended), slots=1))) == ["x/t1"]


def test_a_task_without_an_estimate_counts_as_the_mean_of_the_run() -> None:
    """Two unknown tasks outweigh one estimate, and one unknown task does not outweigh two."""
    estimated = an_epic(
        "a", tasks=tuple(a_task(f"t{each}", epic="a", estimate=each) for each in (10.0, 30.0))
    )
    three = a_run(estimated, an_epic("b", PENDING, PENDING, PENDING))
    assert started(decide(a_snapshot(three, slots=1))) == ["b/t1"]
    one = a_run(an_epic("b", PENDING), estimated)
    assert started(decide(a_snapshot(one, slots=1))) == ["a/t10.0"]
