"""The HTTP endpoints for the browser: pages of a log, files, and all changes that it requests.

Each path below /api is one API call, under the name of its resource.
"""

from collections.abc import Callable
from typing import Final

import grpc
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from heddle import errors, pb
from heddle.client import HeddleClient, ServerUnreachable
from ui_svc.endpoints.conflicts import ConflictCalls
from ui_svc.endpoints.drafts import DraftCalls
from ui_svc.endpoints.run_actions import RunActions
from ui_svc.endpoints.runs import RunCalls
from ui_svc.endpoints.sessions import SessionCalls
from ui_svc.endpoints.terminal import TerminalCalls

_STATUS: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.OUT_OF_RANGE: 416,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 503,
    grpc.StatusCode.UNAVAILABLE: 503,
}


def install(
    app: FastAPI, client: HeddleClient, connect: Callable[[str], HeddleClient], *, one_machine: bool
) -> None:
    """Adds the endpoints and the error handling to `app`. `connect` returns a client with a token.

    `one_machine`: whether browsers are on the machine of the scheduler.
    """
    app.add_exception_handler(errors.HeddleError, _refused)
    app.add_exception_handler(ServerUnreachable, _unreachable)
    app.add_exception_handler(UnicodeEncodeError, _half_a_character)
    router = APIRouter(prefix="/api")
    RunCalls(client, one_machine=one_machine).add_to(router)
    RunActions(client).add_to(router)
    ConflictCalls(client).add_to(router)
    DraftCalls(client).add_to(router)
    SessionCalls(client).add_to(router)
    TerminalCalls(connect).add_to(router)
    app.include_router(router)


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, errors.HeddleError):
        raise error
    content = {
        "message": error.message,
        "reason": pb.ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_"),
        "violations": [{"field": each.field, "message": each.description} for each in error.violations],
    }
    return JSONResponse(content, _STATUS.get(error.code, 500))


async def _half_a_character(request: Request, error: Exception) -> Response:
    """Refuses text that JSON can contain and UTF-8 cannot, such as what is left of an emoji that was cut."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = ascii(error.object[error.start])
    return await _refused(
        request,
        errors.invalid_field(
            "body", f"has {found}, half of a character, after {error.start} others; remove it"
        ),
    )


async def _unreachable(_: Request, error: Exception) -> Response:
    content = {"message": f"{error}. Nothing was changed.", "reason": "UNREACHABLE", "violations": []}
    return JSONResponse(content, 503)
