"""Answers git's HTTP requests of other workers: checks the token, the path and what is pushed, and lets git do the rest.

It is an ASGI application. What is not one of the four requests of git's smart protocol is refused.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import structlog

from heddle.errors import HeddleError
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.git.process.command import Git
from worktree_svc.projects import claims, repository
from worktree_svc.projects.repository import Project
from worktree_svc.served import backend, pushes
from worktree_svc.served.grants import Grant, Grants

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# Git processes at a time; further requests wait.
_AT_ONCE: Final = 8

# Seconds within which the beginning of a push must have come.
_BEGIN_SECONDS: Final = 60.0

_BEARER: Final = "Bearer "
_FETCH: Final = "git-upload-pack"
_PUSH: Final = "git-receive-pack"


class _RefusedError(Exception):
    """A request is answered with an HTTP status and a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Asked(NamedTuple):
    """One request of git's protocol."""

    method: str
    # The path below the project, and the service that it is about.
    path: str
    service: str


# By method, path below the project, and query.
_REQUESTS: Final = {
    ("GET", "/info/refs", f"service={_FETCH}"): _Asked("GET", "/info/refs", _FETCH),
    ("GET", "/info/refs", f"service={_PUSH}"): _Asked("GET", "/info/refs", _PUSH),
    ("POST", f"/{_FETCH}", ""): _Asked("POST", f"/{_FETCH}", _FETCH),
    ("POST", f"/{_PUSH}", ""): _Asked("POST", f"/{_PUSH}", _PUSH),
}


class Application:
    """Serves the repositories for which `grants` has issued tokens."""

    def __init__(self, folders: PrivateFolders, grants: Grants) -> None:
        self._folders = folders
        self._grants = grants
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        body = _Body(receive)
        grant = self._granted(scope)
        if grant is None:
            log.warning("git_request_refused", path=scope["path"], reason="no valid token")
            await _answer(send, 401, "the token is missing, unknown or has expired")
            return
        try:
            asked = _asked(grant, scope)
            async with self._at_once:
                project = await asyncio.to_thread(self._project, grant)
                if asked.service == _PUSH:
                    await self._check_push(scope, project, grant, asked, body)
                await _pass_on(
                    project.git, _request(grant, asked, scope), _settings(grant, asked), body, send
                )
        except _RefusedError as error:
            log.warning("git_request_refused", path=scope["path"], reason=str(error))
            await body.skip()
            await _answer(send, error.status, str(error))
        except backend.BackendError as error:
            log.warning("git_request_failed", path=scope["path"], error=str(error))
            await body.skip()
            await _answer(send, 500, str(error))

    def _granted(self, scope: Scope) -> Grant | None:
        said = _header(scope, b"authorization")
        return self._grants.read(said.removeprefix(_BEARER)) if said.startswith(_BEARER) else None

    def _project(self, grant: Grant) -> Project:
        try:
            return repository.find(self._folders, grant.project)
        except HeddleError as error:
            raise _RefusedError(503, error.message) from error

    async def _check_push(
        self, scope: Scope, project: Project, grant: Grant, asked: _Asked, body: "_Body"
    ) -> None:
        """Raises _RefusedError unless the epic's place may make this push now."""
        if asked.method == "GET":
            begun = pushes.Commands([], frozenset(), 0)
            if not grant.generation:
                raise _RefusedError(403, "this token may only read")
        else:
            if _header(scope, b"content-encoding"):
                raise _RefusedError(415, "a push must not be compressed as a whole")
            begun = await _commands(body)
        claimed = await asyncio.to_thread(claims.claimed, project, grant.epic)
        if why := pushes.refusal(grant, begun, claimed):
            raise _RefusedError(403, why)


def _asked(grant: Grant, scope: Scope) -> _Asked:
    path: str = scope["path"]
    below = path.removeprefix(grant.path) if path.startswith(f"{grant.path}/") else ""
    asked = _REQUESTS.get((scope["method"], below, scope["query_string"].decode(errors="replace")))
    if asked is None:
        raise _RefusedError(404, "this is not a request of git for the token's project")
    return asked


async def _commands(body: "_Body") -> pushes.Commands:
    """Reads the beginning of a push, which stays in `body`."""
    try:
        async with asyncio.timeout(_BEGIN_SECONDS):
            while (found := pushes.commands(body.begun)) is None:
                if not await body.read_more():
                    raise _RefusedError(400, "the push ends before its commands do")
    except pushes.MalformedPushError as error:
        raise _RefusedError(403, str(error)) from error
    except TimeoutError as error:
        raise _RefusedError(408, "the push did not begin in time") from error
    return found


def _request(grant: Grant, asked: _Asked, scope: Scope) -> dict[str, str]:
    """Returns the variables of CGI that describe a request."""
    request = {
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": asked.path,
        "REQUEST_METHOD": asked.method,
        "QUERY_STRING": scope["query_string"].decode(),
        "CONTENT_TYPE": _header(scope, b"content-type"),
        "HTTP_CONTENT_ENCODING": _header(scope, b"content-encoding"),
        "REMOTE_USER": str(grant.epic),
    }
    if length := _header(scope, b"content-length"):
        request["CONTENT_LENGTH"] = length
    # The protocol of pushes has no second version.
    if asked.service == _FETCH and _header(scope, b"git-protocol") == "version=2":
        request["GIT_PROTOCOL"] = "version=2"
    return request


def _settings(grant: Grant, asked: _Asked) -> list[tuple[str, str]]:
    hidden = [("transfer.hideRefs", each) for each in pushes.readable_refs(grant)]
    hidden += [("receive.hideRefs", each) for each in pushes.hidden_from_push(grant)]
    return [*hidden, ("http.receivepack", "true" if asked.service == _PUSH else "false")]


async def _pass_on(
    git: Git, request: Mapping[str, str], settings: Sequence[tuple[str, str]], body: "_Body", send: Send
) -> None:
    async def begin(status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(part: bytes) -> None:
        await send({"type": "http.response.body", "body": part, "more_body": True})

    await backend.run(git, request, settings, body.parts(), begin=begin, write=write)
    await send({"type": "http.response.body", "body": b""})


def _header(scope: Scope, name: bytes) -> str:
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else ""


async def _answer(send: Send, status: int, reason: str) -> None:
    content = f"{reason}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


class _Body:
    """The body of a request, whose beginning can be read before the rest."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.begun = b""
        self._ended = False

    async def read_more(self) -> bool:
        """Adds the next part to `begun`; returns False if there is none."""
        part = await self._next()
        self.begun += part or b""
        return part is not None

    async def parts(self) -> AsyncIterator[bytes]:
        """Yields all of it."""
        if self.begun:
            yield self.begun
        while (part := await self._next()) is not None:
            yield part

    async def skip(self) -> None:
        """Reads the rest, because a client that still sends would not read an answer."""
        while await self._next() is not None:
            pass

    async def _next(self) -> bytes | None:
        if self._ended:
            return None
        message = await self._receive()
        # A client that leaves ends the body early: git then finds an incomplete pack, and moves nothing.
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part
