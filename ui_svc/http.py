"""What a browser asks for over HTTP: pages of a log, files, and every change that it makes.

Each path is one call of the API under the name of its resource.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from fastapi import APIRouter, Body, FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from heddle import errors, pb
from heddle.client import HeddleClient, ServerUnreachable
from heddle.names import ANY, AttemptName, EpicName, RunName, TaskName
from ui_svc import transcript, views
from ui_svc.plans import read_plan
from ui_svc.views import View

# More than any log has: "the newest page" reads backwards from here.
END_OF_LOG: Final = 1 << 62

# Events in one page of a log.
PAGE_EVENTS: Final = 2000

# A diff that is longer is cut; the page says so.
DIFF_BYTES: Final = 1 << 20

# The only artifacts that are shown as what they say they are; SVG can carry scripts.
_IMAGES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
}

_ARTIFACT: Final = re.compile(r"sha256:[0-9a-f]{64}")

_STATUS: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.OUT_OF_RANGE: 416,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 503,
    grpc.StatusCode.UNAVAILABLE: 503,
}

RUN: Final = "/runs/{run}"
EPIC: Final = RUN + "/epics/{epic}"
TASK: Final = EPIC + "/tasks/{task}"
ATTEMPT: Final = TASK + "/attempts/{number}"


def install(app: FastAPI, client: HeddleClient) -> None:
    """Adds the endpoints below /api and the translation of errors to `app`."""
    app.add_exception_handler(errors.HeddleError, _refused)
    app.add_exception_handler(ServerUnreachable, _unreachable)
    router = APIRouter(prefix="/api")
    _add_runs(router, client)
    _add_sessions(router, client)
    _add_diffs(router, client)
    app.include_router(router)


def _add_runs(router: APIRouter, client: HeddleClient) -> None:
    @router.get("/workers")
    async def workers() -> list[View]:
        return [views.worker(each) for each in await client.list_workers()]

    @router.post("/plan:check")
    async def check_plan(body: dict[str, Any] = Body()) -> View:  # noqa: B008 (how FastAPI declares it)
        # A large plan takes a second to read.
        plan, found = await asyncio.to_thread(read_plan, str(body.get("yaml", "")))
        if plan is None:
            return found
        if body.get("project"):
            await client.create_run(_create_request(body, plan, validate_only=True))
        return found

    @router.post("/runs")
    async def create_run(body: dict[str, Any] = Body()) -> View:  # noqa: B008 (how FastAPI declares it)
        # A large plan takes a second to read.
        plan, found = await asyncio.to_thread(read_plan, str(body.get("yaml", "")))
        if plan is None:
            return found
        return views.run(await client.create_run(_create_request(body, plan)))

    @router.post(RUN + ":pause")
    async def pause_run(run: str) -> View:
        return views.run(await client.pause_run(str(RunName(run))))

    @router.post(RUN + ":resume")
    async def resume_run(run: str) -> View:
        return views.run(await client.resume_run(str(RunName(run))))

    @router.post(RUN + ":cancel")
    async def cancel_run(run: str) -> View:
        return views.run(await client.cancel_run(str(RunName(run))))

    @router.get(EPIC + "/tasks")
    async def tasks(run: str, epic: str) -> View:
        """Returns an epic's tasks and all attempts at them."""
        parent = str(EpicName(run, epic))
        return {
            "tasks": [views.whole_task(each) for each in await client.list_tasks(parent)],
            "attempts": [
                views.attempt(each) for each in await client.list_attempts(f"{parent}/tasks/{ANY}")
            ],
        }

    @router.post(TASK + ":retry")
    async def retry_task(run: str, epic: str, task: str) -> View:
        return views.task(await client.retry_task(str(TaskName(run, epic, task))))


def _add_sessions(router: APIRouter, client: HeddleClient) -> None:
    @router.get(ATTEMPT)
    async def attempt(run: str, epic: str, task: str, number: int) -> View:
        return views.whole_attempt(await client.get_attempt(str(AttemptName(run, epic, task, number))))

    @router.post(ATTEMPT + ":stop")
    async def stop_attempt(run: str, epic: str, task: str, number: int) -> View:
        return views.attempt(await client.stop_attempt(str(AttemptName(run, epic, task, number))))

    @router.post(ATTEMPT + ":resolve")
    async def resolve_approval(
        run: str,
        epic: str,
        task: str,
        number: int,
        body: dict[str, Any] = Body(),  # noqa: B008 (how FastAPI declares it)
    ) -> View:
        name = str(AttemptName(run, epic, task, number))
        await client.resolve_approval(
            name,
            str(body["approval_id"]),
            approved=bool(body["approved"]),
            message=str(body.get("message", "")),
        )
        return {}

    @router.get(ATTEMPT + "/events")
    async def events(
        run: str, epic: str, task: str, number: int, after: int | None = None, before: int = END_OF_LOG
    ) -> View:
        """Returns a page behind `after`, or without it the newest page ahead of `before`."""
        cursor = {"before": before} if after is None else {"after": after}
        page = await client.list_session_events(
            str(AttemptName(run, epic, task, number)), page_size=PAGE_EVENTS, **cursor
        )
        return {
            "events": [views.event(each) for each in page.events],
            "more": page.more,
            "last": page.last_sequence,
        }

    @router.get(ATTEMPT + "/log.txt")
    async def log_text(run: str, epic: str, task: str, number: int) -> Response:
        name = AttemptName(run, epic, task, number)
        await client.get_attempt(str(name))
        headers = {
            "Content-Disposition": f'attachment; filename="{run}-{epic}-{task}-{number}.log"',
            "X-Content-Type-Options": "nosniff",
        }
        lines = _log_lines(client, name)
        return StreamingResponse(lines, media_type="text/plain; charset=utf-8", headers=headers)

    @router.get(ATTEMPT + "/artifacts/{artifact}")
    async def artifact(run: str, epic: str, task: str, number: int, artifact: str) -> Response:
        if not _ARTIFACT.fullmatch(artifact):
            raise errors.invalid_field("artifact", "takes sha256: and 64 hexadecimal digits")
        data = await client.read_artifact(str(AttemptName(run, epic, task, number)), artifact)
        media_type = next((kind for magic, kind in _IMAGES.items() if data.startswith(magic)), None)
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            # Named by its content, so it never changes.
            "Cache-Control": "private, max-age=31536000, immutable",
        }
        if media_type is None:
            headers["Content-Disposition"] = "attachment"
        return Response(data, media_type=media_type or "application/octet-stream", headers=headers)


def _add_diffs(router: APIRouter, client: HeddleClient) -> None:
    async def diff(name: str) -> View:
        answer = await client.get_diff(name, max_bytes=DIFF_BYTES)
        return {"text": answer.text, "truncated": answer.truncated}

    @router.get(RUN + "/diff")
    async def run_diff(run: str) -> View:
        return await diff(str(RunName(run)))

    @router.get(EPIC + "/diff")
    async def epic_diff(run: str, epic: str) -> View:
        return await diff(str(EpicName(run, epic)))

    @router.get(ATTEMPT + "/diff")
    async def attempt_diff(run: str, epic: str, task: str, number: int) -> View:
        return await diff(str(AttemptName(run, epic, task, number)))


def _create_request(
    body: dict[str, Any], plan: pb.Plan, *, validate_only: bool = False
) -> pb.CreateRunRequest:
    return pb.CreateRunRequest(
        plan=plan,
        project=str(body.get("project", "")),
        base_ref=str(body.get("base_ref", "")),
        agent=str(body.get("agent", "")),
        max_parallel=int(body.get("max_parallel") or 0),
        merge_into=str(body.get("merge_into", "")),
        allow_dirty=bool(body.get("allow_dirty")),
        request_id="" if validate_only else str(body.get("request_id", "")),
        validate_only=validate_only,
    )


async def _log_lines(client: HeddleClient, name: AttemptName) -> AsyncIterator[str]:
    after = 0
    while True:
        page = await client.list_session_events(str(name), after=after, page_size=PAGE_EVENTS)
        yield "".join(transcript.lines(event) for event in page.events)
        if not page.more or not page.events:
            return
        after = page.events[-1].sequence


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, errors.HeddleError)
    violations = [{"field": each.field, "message": each.description} for each in error.violations]
    reason = pb.ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_")
    content = {"message": error.message, "reason": reason, "violations": violations}
    return JSONResponse(content, _STATUS.get(error.code, 500))


async def _unreachable(_: Request, error: Exception) -> Response:
    content = {"message": f"{error} Nothing was changed.", "reason": "UNREACHABLE", "violations": []}
    return JSONResponse(content, 503)
