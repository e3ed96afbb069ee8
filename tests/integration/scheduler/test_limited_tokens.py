"""What a token that is limited to projects sees of others: nothing, whatever it asks."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from heddle import errors, pb
from heddle.client import HeddleClient
from heddle.identity import access, token_file
from heddle.testing.fake_worker import FakeWorker
from heddle.v1 import scheduler_service_pb2
from tests.support.scheduler import Scheduler, make_plan, scheduling, serving_fake

HOME: Final = "home"
SERVICE: Final = scheduler_service_pb2.DESCRIPTOR.services_by_name["SchedulerService"]
OTHER: Final = "/other-project"
TITLE: Final = "Title of the other run"

# The fields in which requests name what they are about.
FIELDS: Final = ("name", "parent", "attempt", "project", "budget_of", "provider")


@pytest.fixture
async def scheduler(tmp_path: Path, database_url: str) -> AsyncIterator[Scheduler]:
    async with (
        serving_fake(FakeWorker()) as worker,
        scheduling(worker, tmp_path / HOME, database_url, guard=None) as served,
    ):
        yield served


@pytest.fixture
def operator(scheduler: Scheduler, tmp_path: Path) -> str:  # noqa: ARG001 (it creates the file)
    """The token of the operator."""
    return token_file.read(token_file.operator_file(tmp_path / HOME))


async def limited_to(scheduler: Scheduler, operator: str, project: str) -> str:
    async with HeddleClient(scheduler.address, token=operator, patience=0) as admin:
        return (await admin.create_token(pb.CreateTokenRequest(user="ci", projects=[project]))).secret


async def new_run(scheduler: Scheduler, token: str, project: str, title: str) -> pb.Run:
    plan = make_plan({"a": ["one"]})
    plan.name = title
    async with HeddleClient(scheduler.address, token=token, patience=0) as client:
        return await client.create_run(pb.CreateRunRequest(plan=plan, project=project))


def requests(method: MethodDescriptor, value: str) -> bytes:
    """Returns a request in which each field that can name something has `value`."""
    request = GetMessageClass(method.input_type)()
    for field in FIELDS:
        if field in method.input_type.fields_by_name:
            setattr(request, field, value)
    return request.SerializeToString()


async def answer(channel: grpc.aio.Channel, method: MethodDescriptor, request: bytes, token: str) -> bytes:
    """Returns all that the caller of an RPC learns: its first messages, or its error with all details."""
    # Calls with one response may be read as a stream, too.
    begin: Any = channel.unary_stream(f"/{SERVICE.full_name}/{method.name}")
    call = begin(request, metadata=(("authorization", f"Bearer {token}"),), timeout=30)
    # The second one of WatchRuns says that all runs were sent.
    wanted, found = 2 if method.name == "WatchRuns" else 1, b""
    try:
        for _ in range(wanted):
            if (message := await call.read()) is grpc.aio.EOF:
                break
            found += message
    except grpc.aio.AioRpcError as error:
        return found + str(error.details()).encode() + str(error.trailing_metadata()).encode()
    finally:
        call.cancel()
    return found


async def test_no_call_shows_another_project(scheduler: Scheduler, operator: str) -> None:
    """Whatever a limited token asks for, nothing of another project is in the answer or the error.

    This covers every RPC, also those that are added later.
    """
    other = (await new_run(scheduler, operator, OTHER, TITLE)).name
    limited = await limited_to(scheduler, operator, "/repository")
    await new_run(scheduler, limited, "/repository", "Own")
    epic = f"{other}/epics/a"
    names = ["", "-", other, epic, f"{other}/epics/-", f"{epic}/tasks/-", f"{epic}/tasks/one"]
    names += [
        f"{epic}/tasks/one/attempts/1",
        f"{other}/epics/a/worktree",
        OTHER,
        f"{OTHER}/",
        "runs/-",
        "runs/-/epics/-",
    ]
    shown: dict[str, set[str]] = {limited: set(), operator: set()}
    async with grpc.aio.insecure_channel(scheduler.address) as channel:
        for method in SERVICE.methods:
            reads = access.REQUIRED[f"/{SERVICE.full_name}/{method.name}"] == pb.ROLE_VIEWER
            for name in names:
                for token in [limited, *([operator] if reads else [])]:
                    learned = await answer(channel, method, requests(method, name), token)
                    # Not what the caller has said itself.
                    markers = [
                        text for text in (OTHER, TITLE, other.removeprefix("runs/")) if text not in name
                    ]
                    if any(marker.encode() in learned for marker in markers):
                        shown[token].add(method.name)
    assert shown[limited] == set()
    # One who may see everything learns it by the same questions.
    assert shown[operator] >= {"GetRun", "ListRuns", "WatchRuns", "WatchRun", "ListCosts"}


async def test_an_unknown_run_is_refused_like_that_of_another_project(
    scheduler: Scheduler, operator: str
) -> None:
    """An error does not tell whether a run exists, or which project it is of."""
    other = await new_run(scheduler, operator, OTHER, TITLE)
    async with HeddleClient(
        scheduler.address, token=await limited_to(scheduler, operator, "/repository"), patience=0
    ) as client:
        said = []
        for name in (other.name, "runs/absent"):
            with pytest.raises(errors.HeddleError) as caught:
                await client.get_run(name)
            said.append((caught.value.reason, caught.value.message, caught.value.metadata))
    assert said[0] == said[1]
    assert said[0][0] == pb.ERROR_REASON_PERMISSION_DENIED


async def test_lists_contain_the_own_projects(scheduler: Scheduler, operator: str) -> None:
    """Lists and the watch of all runs have the runs and costs of the token's projects, and all of them."""
    await new_run(scheduler, operator, OTHER, TITLE)
    limited = await limited_to(scheduler, operator, "/repository")
    own = await new_run(scheduler, limited, "/repository", "Own")
    await new_run(scheduler, operator, OTHER, TITLE)
    async with HeddleClient(scheduler.address, token=limited, patience=0) as client:
        assert [run.name for run in (await client.list_runs(page_size=1)).runs] == [own.name]
        first = await anext(client.watch_runs(newest=1))
        assert [run.name for run in first.runs] == [own.name]
        costs = [cost.name for parent in ("", "-") for cost in (await client.list_costs(parent)).costs]
        assert costs == ["/repository", own.name]
        assert [cost.name for cost in (await client.list_costs("/repository")).costs] == [own.name]
        assert {cost.project for cost in await client.list_daily_costs()} <= {"/repository"}
        assert {cost.project for cost in await client.list_daily_costs(project="/repository")} <= {
            "/repository"
        }
        with pytest.raises(errors.HeddleError, match="limited to /repository"):
            await client.list_daily_costs(project=OTHER)
        assert (
            await client.update_preferences(pb.Preferences(editor="vscode")) == await client.get_preferences()
        )
        assert await client.list_workers()
        assert await client.list_approvals() == []
        assert await client.list_holds() == []


async def test_no_draft_changes_the_plan_of_another_project(scheduler: Scheduler, operator: str) -> None:
    """The project of a draft that changes the plan of a run is that of the run, whatever the request says."""
    other = (await new_run(scheduler, operator, OTHER, TITLE)).name
    limited = await limited_to(scheduler, operator, "/repository")
    revises = pb.PlanRevision(kind=pb.PLAN_REVISION_KIND_REST, run=other)
    async with HeddleClient(scheduler.address, token=limited, patience=0) as client:
        for project in ("", "/repository"):
            request = pb.DraftPlanRequest(agent="command:x", revises=revises, project=project)
            with pytest.raises(errors.HeddleError) as caught:
                await client.draft_plan(request)
            assert caught.value.reason == pb.ERROR_REASON_PERMISSION_DENIED
            assert TITLE not in caught.value.message
