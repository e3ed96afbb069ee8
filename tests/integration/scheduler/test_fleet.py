"""Workers register themselves, are drained, and leave, while runs continue."""

from pathlib import Path

import pytest

from heddle import pb
from heddle.client import HeddleClient
from heddle.errors import HeddleError
from heddle.identity import token_file
from tests.support.fleet import Fleet
from tests.support.repositories import make_repository
from tests.support.scheduler import eventually, scheduling
from tests.support.services import new_socket

# Works until the test says that it may end.
AGENT = """command:touch "$PLACE/$HEDDLE_TASK"; until [ -e "$PLACE/go" ]; do sleep 0.05; done; echo x > $HEDDLE_TASK.txt"""


def worker(scheduler: Fleet, home: Path, token: str, place: Path) -> Fleet:
    """Returns a worker that registers itself with a token."""
    fleet = Fleet(home)
    fleet._extra |= {
        "HEDDLE_SCHEDULER": scheduler.scheduler,
        "HEDDLE_TOKEN": token,
        "HEDDLE_WORKER_NAME": "one",
        "HEDDLE_ADVERTISE": f"{fleet.worktree}+{fleet.agent}",
        "HEDDLE_LABELS": "gpu=true,zone=eu",
        "HEDDLE_SLOTS": "2",
        "HEDDLE_AGENT_ENV": "PLACE",
        "PLACE": str(place),
        "HEDDLE_SANDBOX_WRITABLE": str(place),
    }
    return fleet


async def only(client: HeddleClient) -> pb.Worker:
    [found] = await client.list_workers()
    return found


async def test_a_worker_joins_is_drained_and_leaves(tmp_path: Path) -> None:
    """A worker with a credential of its own joins the fleet and works; drained, it only ends what runs; stopped, it leaves."""
    repository = make_repository(tmp_path / "repository")
    (place := tmp_path / "place").mkdir()
    scheduler = Fleet(tmp_path / "scheduler", {"HEDDLE_WORKERS": "none"})
    plan = pb.Plan(name="Fleet", defaults=pb.TaskDefaults(agent=AGENT))
    plan.epics.add(key="a").tasks.extend(
        [pb.PlanTask(key="one", prompt="Go"), pb.PlanTask(key="two", prompt="Go")]
    )

    def request() -> pb.CreateRunRequest:
        return pb.CreateRunRequest(plan=plan, project=str(repository))

    joined: Fleet | None = None
    try:
        await scheduler.start("scheduler_svc")
        async with scheduler.client(patience=60) as client:
            assert await client.list_workers() == []
            async with scheduler.client(patience=0) as hasty:
                with pytest.raises(HeddleError, match="the fleet is empty"):
                    await hasty.create_run(request())
            secret = (
                await client.create_token(pb.CreateTokenRequest(worker="one", title="machine 1"))
            ).secret
            joined = worker(scheduler, tmp_path / "worker", secret, place)
            await joined.start("worktree_svc", "agent_svc")

            async def ready() -> bool:
                return any(each.connected for each in await client.list_workers())

            await eventually(ready)
            found = await only(client)
            assert (found.name, found.slots, found.registered) == ("workers/one", 2, True)
            assert dict(found.labels) == {"gpu": "true", "zone": "eu"}
            assert found.agents
            run = (await client.create_run(request())).name
            await eventually((place / "one").exists)

            drained = await client.drain_worker("workers/one")
            assert (drained.draining, drained.running_sessions) == (True, 1)
            async with scheduler.client(patience=0) as hasty:
                with pytest.raises(HeddleError, match="one: drained"):
                    await hasty.create_run(request())
            (place / "go").touch()
            told: list[pb.Event] = []
            async for answer in client.watch_run(run):
                told += answer.events
                if {"run_waits", "task_accepted"} <= {each.WhichOneof("payload") for each in told}:
                    break
            waits = [each.run_waits.reason for each in told if each.HasField("run_waits")]
            assert waits == [
                "worker one is drained, so no task starts; `heddle workers undrain one` ends that"
            ]
            assert not (place / "two").exists()

            assert not (await client.undrain_worker("workers/one")).draining
            async for _ in client.watch_run(run):
                pass
            assert (await client.get_run(run)).state == pb.RUN_STATE_SUCCEEDED
            joined.stop()
            assert await client.list_workers() == []
    finally:
        if joined is not None:
            joined.stop()
        scheduler.stop()


def registration(**fields: object) -> pb.RegisterWorkerRequest:
    request = pb.RegisterWorkerRequest(
        name="workers/one", worktree_address="unix:/w.sock", agent_address="127.0.0.1:1"
    )
    request.MergeFrom(pb.RegisterWorkerRequest(**fields))  # type: ignore[arg-type]  # the fields of a message
    return request


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        (registration(name="workers/two"), "worker/one may only register itself, and not workers/two"),
        (registration(name="one"), "takes workers/NAME"),
        (registration(agent_address="nowhere"), "agent_address"),
        (registration(agent_address="10.0.0.7:7402"), "is on another machine, which needs TLS"),
        (registration(labels={"gpu": "a b"}), "gpu=a b must be letters"),
        (registration(labels={f"k{number}": "1" for number in range(33)}), "has 33 labels"),
    ],
)
async def test_a_registration_that_is_not_valid_is_refused(
    tmp_path: Path, request_: pb.RegisterWorkerRequest, problem: str
) -> None:
    """The error says which part of the registration is wrong; a worker's token is for its own name and for nothing else."""
    async with scheduling(new_socket(), tmp_path, guard=None) as scheduler:
        operator = token_file.read(token_file.operator_file(tmp_path))
        async with HeddleClient(scheduler.address, token=operator) as client:
            made = await client.create_token(pb.CreateTokenRequest(worker="one", title="machine 1"))
        assert (made.token.user, made.token.role) == ("worker/one", pb.ROLE_UNSPECIFIED)
        async with HeddleClient(scheduler.address, token=made.secret, patience=0) as worker:
            with pytest.raises(
                HeddleError, match="worker/one may only register itself, and not call ListRuns"
            ):
                await worker.list_runs()
            with pytest.raises(HeddleError, match=problem):
                await worker.register_worker(request_)
            answer = await worker.register_worker(registration(agent_address="[::1]:1"))
    assert answer.HasField("renew_after")
