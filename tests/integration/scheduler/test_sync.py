"""Epics that take in new commits of the project's branch between their tasks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest

from heddle import pb
from heddle.errors import from_rpc
from heddle.testing.fake_session import FakeSession
from heddle.testing.fake_worker import FakeWorker
from tests.support.scheduler import Scheduler, make_plan, scheduling, serving_fake

TIP = "a" * 40


class Gate:
    """Keeps the sessions of some tasks working until each is let go."""

    def __init__(self, *tasks: str) -> None:
        self._open = {task: asyncio.Event() for task in tasks}

    def let_go(self, task: str) -> None:
        self._open[task].set()

    async def play(self, session: FakeSession) -> pb.SessionFinished:
        if gate := self._open.get(session.name.task):
            await gate.wait()
        return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


@pytest.fixture
def worker(worker: FakeWorker) -> FakeWorker:
    """The project's branch is main, and has a new commit."""
    worker.base_branch, worker.base_tip = "main", TIP
    return worker


@pytest.fixture
async def scheduler(worker: FakeWorker, tmp_path: Path) -> AsyncIterator[Scheduler]:
    """It looks at the branch all the time."""
    environ = {"HEDDLE_BASE_LOOK_EVERY": "0.05"}
    async with serving_fake(worker) as address, scheduling(address, tmp_path, environ=environ) as running:
        yield running


def of(kind: str) -> Callable[[pb.Event], bool]:
    return lambda each: each.WhichOneof("payload") == kind


async def sync(scheduler: Scheduler, name: str, *, cancel: bool = False) -> list[pb.Epic]:
    return list((await scheduler.api.SyncBase(pb.SyncBaseRequest(name=name, cancel=cancel))).epics)


def asked(worker: FakeWorker) -> dict[str, str]:
    """Returns by attempt, as TASK/NUMBER, the commit on which the epic built; empty if it took in nothing."""
    return {
        "/".join(request.attempt.split("/")[5::2]): request.base.known_commit
        if request.HasField("base")
        else "none"
        for request in worker.called("EnsureWorktree")
    }


async def test_the_plan_takes_the_branch_in_between_tasks(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Before each task, from the commit that the epic has; the log says so once; an epic can opt out."""
    plan = make_plan({"a": ["one", "two", "three"], "b": ["four"]})
    plan.sync = pb.SYNC_POLICY_BETWEEN_TASKS
    plan.epics[1].sync = pb.SYNC_POLICY_OFF
    run = await scheduler.create(plan)
    events = await scheduler.finished(run)
    base = (await scheduler.run(run)).base_commit
    assert asked(worker) == {"one/1": base, "two/1": TIP, "three/1": TIP, "four/1": "none"}
    (taken,) = [each for each in events if each.HasField("sync_finished")]
    assert taken.sync_finished == pb.SyncFinished(branch="main", commit=TIP, commit_count=1)
    epics = await scheduler.epics(run)
    assert epics["a"].sync == pb.EpicSync(branch="main", commit=TIP)
    assert [epics[key].sync_policy for key in "ab"] == [pb.SYNC_POLICY_BETWEEN_TASKS, pb.SYNC_POLICY_OFF]


async def test_the_operator_takes_the_branch_in(worker: FakeWorker, scheduler: Scheduler) -> None:
    """Once, before the next task of each epic; asking twice is asking once, and it can be taken back."""
    gate = Gate("one", "three")
    worker.play = gate.play
    run = await scheduler.create(make_plan({"a": ["one", "two"], "b": ["three", "four"], "c": ["five"]}))
    await scheduler.until(run, lambda each: each.epic == "c" and each.HasField("epic_finished"))
    assert {epic.key for epic in await sync(scheduler, run)} == {"a", "b"}
    (epic,) = await sync(scheduler, f"{run}/epics/a")
    assert epic.sync == pb.EpicSync(state=pb.SYNC_STATE_REQUESTED, branch="main")
    (epic,) = await sync(scheduler, f"{run}/epics/b", cancel=True)
    assert epic.sync.state == pb.SYNC_STATE_UNSPECIFIED
    gate.let_go("one")
    gate.let_go("three")
    events = await scheduler.finished(run)
    base = (await scheduler.run(run)).base_commit
    seen = asked(worker)
    assert (seen["two/1"], seen["four/1"]) == (base, "none")
    requests = [
        (each.epic, each.sync_requested.cancelled) for each in events if each.HasField("sync_requested")
    ]
    assert requests == [("a", False), ("b", False), ("b", True)]
    assert (await scheduler.epics(run))["a"].sync == pb.EpicSync(branch="main", commit=TIP)
    for name in (run, f"{run}/epics/a"):
        with pytest.raises(grpc.RpcError) as raised:
            await sync(scheduler, name)
        error = from_rpc(raised.value)
        assert error
        assert error.reason == pb.ERROR_REASON_WRONG_STATE
        assert "no task is left" in error.message


async def test_a_conflict_holds_the_epic(worker: FakeWorker, scheduler: Scheduler) -> None:
    """It uses up no retry and stops no other epic; the operator resolves it, or an agent does, or it is left."""
    worker.out_of_sync = {"a", "b", "c"}
    plan = make_plan({"a": ["one"], "b": ["two"], "c": ["three"], "d": ["four"]}, agent="command:x")
    plan.sync = pb.SYNC_POLICY_BETWEEN_TASKS
    run = await scheduler.create(plan)
    seen: set[str] = set()

    def are_held(each: pb.Event) -> bool:
        seen.update([each.epic] if each.HasField("sync_conflicted") else [])
        return seen >= {"a", "b", "c"}

    held = await scheduler.until(run, are_held)
    conflict = next(each for each in held if each.HasField("sync_conflicted")).sync_conflicted
    assert (conflict.branch, conflict.commit, list(conflict.files)) == ("main", TIP, ["shared.txt"])
    epics = await scheduler.epics(run)
    assert epics["a"].sync.state == pb.SYNC_STATE_HELD
    short = f"{run.removeprefix('runs/')}/a"
    for command in (f"heddle sync {short}`", f"heddle resolve {short}`", f"heddle sync {short} --cancel`"):
        assert command in epics["a"].sync.reason
    task = (await scheduler.tasks(run))["a/one"]
    assert task.state == pb.TASK_STATE_PENDING
    assert task.reason == "main conflicts with the epic in shared.txt"
    await scheduler.until(run, lambda each: each.epic == "d" and each.HasField("epic_finished"))
    worker.out_of_sync.remove("a")
    await sync(scheduler, f"{run}/epics/a")
    with pytest.raises(grpc.RpcError) as raised:
        await scheduler.api.ResolveConflict(
            pb.ResolveConflictRequest(name=f"{run}/epics/b", agent="command:y")
        )
    error = from_rpc(raised.value)
    assert error
    assert "two, the next task, resolves it" in error.message
    await scheduler.api.ResolveConflict(pb.ResolveConflictRequest(name=f"{run}/epics/b"))
    await sync(scheduler, f"{run}/epics/c", cancel=True)
    events = await scheduler.finished(run)
    assert events[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    requests = {
        request.attempt.split("/")[3]: request
        for request in worker.called("EnsureWorktree")
        if request.attempt.endswith("/2")
    }
    assert {key: request.HasField("base") for key, request in requests.items()} == {
        "a": True,
        "b": True,
        "c": False,
    }
    assert requests["b"].resolve_conflict
    (prompt,) = [each.prompt for each in worker.called("StartSession") if "/b/" in each.attempt]
    assert "the newest commits of main" in prompt


async def test_an_epic_lets_its_agent_resolve(worker: FakeWorker, scheduler: Scheduler) -> None:
    """on_conflict: agent: no wait; the branch counts as taken in once the work is accepted."""
    worker.out_of_sync = {"a"}
    plan = make_plan({"a": ["one", "two"]}, agent="command:x", on_conflict=pb.ON_CONFLICT_AGENT)
    plan.sync = pb.SYNC_POLICY_BETWEEN_TASKS
    run = await scheduler.create(plan)
    events = await scheduler.finished(run)
    first = next(each for each in events if each.HasField("sync_finished")).sync_finished
    assert first == pb.SyncFinished(branch="main", commit=TIP, commit_count=1, conflicts=True)
    assert asked(worker)["two/1"] == TIP
    assert (await scheduler.epics(run))["a"].sync.commit == TIP


async def test_a_held_epic_can_be_cancelled_with_its_run(worker: FakeWorker, scheduler: Scheduler) -> None:
    """The run ends; nothing of it stays on hold."""
    worker.out_of_sync = {"a"}
    plan = make_plan({"a": ["one"]})
    plan.sync = pb.SYNC_POLICY_BETWEEN_TASKS
    run = await scheduler.create(plan)
    await scheduler.until(run, of("sync_conflicted"))
    await scheduler.api.CancelRun(pb.CancelRunRequest(name=run))
    assert (await scheduler.run(run)).state == pb.RUN_STATE_CANCELLED
    assert (await scheduler.epics(run))["a"].sync.state == pb.SYNC_STATE_UNSPECIFIED


async def test_a_run_says_which_epics_are_behind(worker: FakeWorker, scheduler: Scheduler) -> None:
    """As soon as the branch has moved, until they have taken it in; an event reports each move once."""
    gate = Gate("one", "three")
    worker.play = gate.play
    run = await scheduler.create(make_plan({"a": ["one", "two"], "b": ["three", "four"]}))
    moved = await scheduler.until(run, of("base_moved"))
    assert moved[-1].base_moved == pb.BaseMoved(branch="main", commit=TIP, epics=["a", "b"])
    behind = [pb.EpicBehind(epic=key, commit_count=1) for key in "ab"]
    assert (await scheduler.run(run)).base_state == pb.BaseState(branch="main", commit=TIP, behind=behind)
    await sync(scheduler, f"{run}/epics/a")
    gate.let_go("one")
    await scheduler.until(run, of("sync_finished"), after=moved[-1].sequence)
    assert [each.epic for each in (await scheduler.run(run)).base_state.behind] == ["b"]
    gate.let_go("three")
    await scheduler.finished(run)
    assert not (await scheduler.run(run)).HasField("base_state")
