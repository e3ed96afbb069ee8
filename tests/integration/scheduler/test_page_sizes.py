"""Lists have as many entries on a page as their documentation in the protos says."""

import re
from pathlib import Path
from typing import Any

import pytest

from heddle import pb
from heddle.rpc.channels import open_channel
from heddle.v1 import identity_service_pb2, scheduler_service_pb2
from heddle.v1.identity_service_pb2_grpc import IdentityServiceStub
from scheduler_svc.api import identity_servicer, servicer, worker_methods
from scheduler_svc.store.queries import page_tokens
from tests.support.scheduler import Scheduler, make_plan

PROTOS = Path(__file__).parents[3] / "protos/heddle/v1"
EPIC = "RUN/epics/a"
TASK = f"{EPIC}/tasks/one"

# A request for every list that is paged.
REQUESTS: dict[str, Any] = {
    "ListRuns": pb.ListRunsRequest(),
    "ListEpics": pb.ListEpicsRequest(parent="RUN"),
    "ListTasks": pb.ListTasksRequest(parent=EPIC),
    "ListAttempts": pb.ListAttemptsRequest(parent=TASK),
    "ListApprovals": pb.ListApprovalsRequest(),
    "ListEvents": pb.ListEventsRequest(parent="RUN"),
    "ListSessionEvents": pb.ListSessionEventsRequest(parent=f"{TASK}/attempts/1"),
    "ListCosts": pb.ListCostsRequest(parent="RUN"),
    "ListEpicWorktrees": pb.ListEpicWorktreesRequest(parent="RUN"),
    "ListWorkers": pb.ListWorkersRequest(),
    "ListAuditEntries": pb.ListAuditEntriesRequest(),
}


def paged() -> set[str]:
    """Returns the methods whose requests have a page_size."""
    services = [
        scheduler_service_pb2.DESCRIPTOR.services_by_name["SchedulerService"],
        identity_service_pb2.DESCRIPTOR.services_by_name["IdentityService"],
    ]
    return {
        each.name
        for service in services
        for each in service.methods
        if "page_size" in each.input_type.fields_by_name
    }


def documented(method: str) -> tuple[int, int]:
    """Returns the default and the most entries of a page, as the comment of the field says."""
    text = "".join(file.read_text() for file in sorted(PROTOS.glob("*_service.proto")))
    message = text.partition(f"message {method}Request {{")[2].partition("\n}")[0]
    [comment] = re.findall(r"((?:  //.*\n)+)  int32 page_size = \d+;", message)
    words = comment.replace(",", "")
    return tuple(int(re.search(rf"{before} (\d+)", words)[1]) for before in ("Absent:", "At most"))  # type: ignore[index, return-value]  # the test fails without


def test_every_paged_list_is_here() -> None:
    """A new list has a request above."""
    assert paged() == REQUESTS.keys()


async def test_pages_are_as_large_as_documented(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a size, and with one that is too large, each list uses the numbers that its field promises."""
    run = await scheduler.create(make_plan({"a": ["one"]}))
    await scheduler.finished(run)
    limits: list[tuple[int, int]] = []
    judge = page_tokens.page_size

    def noted(asked: int, default: int, most: int) -> int:
        limits.append((default, most))
        return judge(asked, default, most)

    for module in (page_tokens, servicer, identity_servicer, worker_methods):
        monkeypatch.setattr(module, "page_size", noted)
    async with open_channel(scheduler.address) as channel:
        identity = IdentityServiceStub(channel)
        for method, request in REQUESTS.items():
            for field, value in request.ListFields():
                setattr(request, field.name, value.replace("RUN", run))
            stub = identity if hasattr(identity, method) else scheduler.api
            limits.clear()
            await getattr(stub, method)(request)
            assert limits == [documented(method)], method


async def test_a_page_of_an_exact_size_is_the_last(scheduler: Scheduler) -> None:
    """A list that fits its page has no further one; with one entry less, the next page has the last entry."""
    run = await scheduler.create(make_plan({key: ["one"] for key in "abc"}))
    await scheduler.finished(run)
    parents = {"ListEpics": run, "ListTasks": f"{run}/epics/-", "ListCosts": run}
    for method, parent in parents.items():
        request = getattr(pb, f"{method}Request")
        field = method.removeprefix("List").lower()
        whole = await getattr(scheduler.api, method)(request(parent=parent, page_size=3))
        assert (len(getattr(whole, field)), whole.next_page_token) == (3, ""), method
        first = await getattr(scheduler.api, method)(request(parent=parent, page_size=2))
        assert (len(getattr(first, field)), bool(first.next_page_token)) == (2, True), method
        last = await getattr(scheduler.api, method)(
            request(parent=parent, page_size=2, page_token=first.next_page_token)
        )
        assert [*getattr(first, field), *getattr(last, field)] == [*getattr(whole, field)], method
        assert not last.next_page_token, method
