"""The composition root: builds every part of the web app once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from fastapi import FastAPI
from nicegui import ui

from heddle.client import HeddleClient
from heddle.config import DEFAULT_PORT, Settings
from heddle.identity import token_file
from heddle.urls import is_local
from ui_svc.endpoints import router
from ui_svc.endpoints.body_limit import BodyLimit
from ui_svc.endpoints.headers import SafeHeaders
from ui_svc.endpoints.origin import SameOrigin, accepted_hosts, is_own
from ui_svc.endpoints.sign_in import SignedIn, limited_token, session_token
from ui_svc.feeds.live import Live
from ui_svc.pages import frame, not_found, run, runs, terminal
from ui_svc.pages.manage import layout, pages
from ui_svc.web.nicegui_parts import accept_origins, scope_of

# The address of the web app, unless HEDDLE_LISTEN is set.
DEFAULT_LISTEN: Final = f"127.0.0.1:{DEFAULT_PORT + 3}"

# Seconds that a browser may be disconnected before its page is rebuilt. A browser
# that vanishes without closing its socket is noticed after two thirds of this time.
RECONNECT_TIMEOUT: Final = 30

# Seconds that a call waits for an unavailable scheduler before the page reports it.
PATIENCE: Final = 3.0


def _is_one_machine(settings: Settings) -> bool:
    """Returns whether the web app, the scheduler and their users are on one machine, as far as settings show."""
    return is_local(settings.scheduler) and not settings.ui_behind_proxy


def build(settings: Settings) -> FastAPI:
    """Returns the app; must be called inside the event loop that will serve it."""
    client = HeddleClient(
        settings.scheduler,
        settings.tls,
        token=partial(token_file.read, token_file.web_file(settings.home)),
        patience=PATIENCE,
    )
    # Acts as whoever sent the request.
    caller = HeddleClient(settings.scheduler, settings.tls, token=session_token, patience=PATIENCE)

    def connect(token: str) -> HeddleClient:
        return HeddleClient(settings.scheduler, settings.tls, token=token, patience=PATIENCE)

    live = Live(client, connect, lambda socket: limited_token(scope_of(socket)))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await live.close()
        await client.close()
        await caller.close()

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    address = settings.listen or DEFAULT_LISTEN

    # Cookies are shared by all ports of a host.
    cookie = f"heddle-session-{address.rpartition(':')[2]}"
    # A request passes the last one first.
    app.add_middleware(SignedIn, client=client, connect=connect, cookie=cookie)
    app.add_middleware(BodyLimit)
    app.add_middleware(SafeHeaders, compiling=[place.path for place in layout.PLACES])
    app.add_middleware(SameOrigin, hosts=accepted_hosts(address, settings.ui_hosts))
    accept_origins(is_own)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Reports that this process is serving; the pages show whether the scheduler is unavailable."""
        return {"status": "ok"}

    router.install(app, caller, connect, one_machine=_is_one_machine(settings))
    frame.install(app)
    live.register()
    runs.install()
    run.install()
    terminal.install()
    pages.install(caller)
    not_found.install()
    ui.run_with(
        app,
        title="Heddle",
        favicon=frame.ICON,
        language="en-US",
        dark=None,
        tailwind=False,
        reconnect_timeout=RECONNECT_TIMEOUT,
        # Frames bypass this replay, and nothing else is sent often.
        message_history_length=100,
        binding_refresh_interval=None,
        show_welcome_message=False,
    )
    return app
