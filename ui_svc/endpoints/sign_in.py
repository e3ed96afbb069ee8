"""Signs browsers in, and refuses every request and socket without a valid session.

A link with a code that works once, as `heddle open` prints it, begins a session. A cookie that scripts
cannot read and other sites cannot send has the part of its token that reads. Browsers send cookies to all ports
of a host, so changes need the whole token, which the page adds from its storage. Programs send
`authorization: Bearer TOKEN`.
"""

import asyncio
import html
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heddle import pb
from heddle.client import HeddleClient, ServerUnreachable
from heddle.errors import HeddleError
from heddle.identity import token_file

_SIGN_IN: Final = "/sign-in"
_SIGN_OUT: Final = "/sign-out"
_OPEN: Final = frozenset({"/healthz", _SIGN_IN})

# Seconds for which a session is trusted after the scheduler confirmed it, and, while the scheduler
# is unavailable, until it no longer counts.
_TRUST: Final = 3.0
_TRUST_ALONE: Final = 600.0

# Seconds between two checks of the session of an open socket.
_LOOK_AGAIN: Final = 3.0

# The status with which a socket is closed whose session has ended.
_ENDED: Final = 4401

_token: ContextVar[str] = ContextVar("session_token", default="")


# The key of a scope for the token of a viewer who may not see all projects; "" for others.
_LIMITED: Final = "heddle.limited_token"


def limited_token(scope: Mapping[str, Any]) -> str:
    """Returns the token with which everything for the viewer must be read; empty: the viewer sees all projects.

    Of a request that was not admitted here, the token is one that sees nothing.
    """
    token: str = scope.get(_LIMITED, "none")
    return token


def session_token() -> str:
    """Returns the token of the browser or program whose request is being handled."""
    return _token.get()


@contextmanager
def acting(token: str) -> Iterator[None]:
    """Makes calls in the name of a session, after the request in which the session was checked.

    The scheduler checks the token of each call, so a session that has ended meanwhile is refused.
    """
    before = _token.set(token)
    try:
        yield
    finally:
        _token.reset(before)


class SessionEndedError(Exception):
    """The token of a request is missing, unknown, expired or revoked; the message says what to do."""


class Sessions:
    """Asks the scheduler whether tokens are valid. `connect` returns a client with a token."""

    def __init__(self, connect: Callable[[str], HeddleClient]) -> None:
        self._connect = connect
        # Until when each token is trusted without asking, and until when without an answer; and its projects.
        self._known: dict[str, tuple[float, float, tuple[str, ...]]] = {}

    async def check(self, token: str) -> tuple[str, ...]:
        """Returns the projects to which a token is limited, empty if it sees all.

        Raises SessionEndedError if it is not valid, ServerUnreachable if that cannot be told.
        """
        if not token:
            raise SessionEndedError("You are not signed in.")
        now = time.monotonic()
        trusted, alone, projects = self._known.get(token, (0.0, 0.0, ()))
        if now < trusted:
            return projects
        try:
            async with self._connect(token) as client:
                projects = tuple((await client.get_caller()).projects)
        except HeddleError as error:
            self._known.pop(token, None)
            if error.reason == pb.ERROR_REASON_UNAUTHENTICATED:
                raise SessionEndedError("Your sign-in has expired or was revoked.") from error
            raise
        except ServerUnreachable:
            if now < alone:
                return projects
            raise
        self._known = {key: value for key, value in self._known.items() if value[1] > now}
        self._known[token] = (now + _TRUST, now + _TRUST_ALONE, projects)
        return projects

    def forget(self, token: str) -> None:
        """Makes the next check of a token ask the scheduler."""
        self._known.pop(token, None)

    async def until_ended(self, token: str) -> None:
        """Returns once the token is no longer valid."""
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            try:
                await self.check(token)
            except SessionEndedError:
                return
            except (HeddleError, ServerUnreachable):
                # The pages show that the scheduler is unavailable.
                continue


class SignedIn:
    """Passes on what has a valid session; `client` is that of the web app itself."""

    def __init__(
        self, app: ASGIApp, *, client: HeddleClient, connect: Callable[[str], HeddleClient], cookie: str
    ) -> None:
        self._app = app
        self._client = client
        self._connect = connect
        self._cookie = cookie
        self._sessions = Sessions(connect)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if path == _SIGN_IN and scope["type"] == "http":
            await (await self._sign_in(Request(scope)))(scope, receive, send)
            return
        if path in _OPEN:
            await self._app(scope, receive, send)
            return
        token = self._token_of(scope)
        try:
            projects = await self._sessions.check(token)
        except SessionEndedError as error:
            await self._refuse(scope, receive, send, 401, str(error))
        except (HeddleError, ServerUnreachable) as error:
            await self._refuse(
                scope, receive, send, 503, f"The scheduler cannot be asked who you are: {error}"
            )
        else:
            _token.set(token)
            scope[_LIMITED] = token if projects else ""
            await self._admitted(scope, receive, send, token)

    async def _admitted(self, scope: Scope, receive: Receive, send: Send, token: str) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send, token)
        elif scope["path"] == _SIGN_OUT and scope["method"] == "POST":
            await (await self._sign_out(token))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send, token: str) -> None:
        """Serves a socket until it closes or its session ends."""
        closed = False

        async def send_unless_closed(message: Message) -> None:
            nonlocal closed
            closed = closed or message["type"] == "websocket.close"
            await send(message)

        serving = asyncio.ensure_future(self._app(scope, receive, send_unless_closed))
        ending = asyncio.create_task(self._sessions.until_ended(token))
        try:
            await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                await serving
        finally:
            ending.cancel()
            if not serving.done():
                serving.cancel()
                with suppress(asyncio.CancelledError):
                    await serving
                if not closed:
                    await send({"type": "websocket.close", "code": _ENDED})

    async def _sign_in(self, request: Request) -> Response:
        code = request.query_params.get("code", "")
        if not code:
            return _page("Sign in", "To sign in, open a link that works once.", 200)
        try:
            session = await self._client.sign_in(code)
        except HeddleError as error:
            if await self._is_signed_in(request):
                return RedirectResponse(page_after(request), 303)
            return _page("This link does not work", f"{error.message}.", 401)
        except ServerUnreachable as error:
            return _page("The scheduler is unavailable", f"{error}", 503)
        # The page stores the whole token where only pages of this port can read it.
        page = _ENTER.format(
            page=html.escape(page_after(request)), key=json.dumps(_STORAGE), token=json.dumps(session.token)
        )
        response = HTMLResponse(page, headers={"Cache-Control": "no-store"})
        response.set_cookie(
            self._cookie,
            token_file.reading_part(session.token),
            expires=session.expire_time.ToDatetime().replace(tzinfo=UTC),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def _is_signed_in(self, request: Request) -> bool:
        """Returns whether the browser has a session, as one for which a link was opened before its user followed it."""
        with suppress(SessionEndedError, HeddleError, ServerUnreachable):
            await self._sessions.check(self._token_of(request.scope))
            return True
        return False

    async def _sign_out(self, token: str) -> Response:
        with suppress(HeddleError, ServerUnreachable):
            async with self._connect(token) as client:
                await client.sign_out()
        self._sessions.forget(token)
        response = _page("You are signed out", "To sign in again, open a link that works once.", 200)
        response.delete_cookie(self._cookie, httponly=True, samesite="strict")
        return response

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif b"text/html" in dict(scope["headers"]).get(b"accept", b""):
            await _page("Sign in" if status == 401 else "The scheduler is unavailable", why, status)(
                scope, receive, send
            )
        else:
            reason = "UNAUTHENTICATED" if status == 401 else "UNREACHABLE"
            content = {"message": f"{why} Nothing was changed.", "reason": reason, "violations": []}
            await JSONResponse(content, status)(scope, receive, send)

    def _token_of(self, scope: Scope) -> str:
        headers = dict(scope["headers"])
        bearer: str = headers.get(b"authorization", b"").decode("latin-1")
        if bearer.startswith("Bearer "):
            return bearer.removeprefix("Bearer ")
        try:
            cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
        except CookieError:
            return ""
        found: str = cookies[self._cookie].value if self._cookie in cookies else ""
        return found


# The name under which the browser stores the token with which it changes something; browser/api.ts reads it.
_STORAGE: Final = "heddle-token"

# The browser continues by itself, and not by a redirect: after a link on another site, it would send no cookie.
_ENTER: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Heddle</title>
<script>localStorage.setItem({key}, {token})</script>
<meta http-equiv="refresh" content="0;url={page}"><p><a href="{page}">Continue to the board</a></p></html>"""

# A path of this web app: never another host, which a second slash or a backslash would begin.
_OWN_PAGE: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")

_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title} · Heddle</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ display: grid; place-content: center; min-height: 100vh; margin: 0; padding: 0 1rem; box-sizing: border-box }}
main {{ max-width: 32rem }} h1 {{ font-size: 1.5rem }}
code {{ padding: .1em .35em; border-radius: .25em; background: color-mix(in srgb, currentColor 12%, transparent) }}
</style>
<main><h1>{title}</h1><p>{text}</p>{advice}</main></html>"""

_ADVICE: Final = """
<p>Run <code>heddle open</code> on the machine where Heddle runs: it prints such a link and opens it where there is a
desktop. For another machine, set <code>HEDDLE_SCHEDULER</code> and <code>HEDDLE_TOKEN</code> first.</p>"""


def page_after(request: Request) -> str:
    """Returns the path that a sign-in link asks for; the list of runs if it asks for none or is not a path."""
    page = request.query_params.get("next", "")
    return page if page and _OWN_PAGE.fullmatch(page) else "/"


def _page(title: str, text: str, status: int) -> HTMLResponse:
    advice = "" if status == 503 else _ADVICE
    page = _PAGE.format(title=html.escape(title), text=html.escape(text), advice=advice)
    return HTMLResponse(page, status)
