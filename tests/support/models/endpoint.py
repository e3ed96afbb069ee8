"""The common part of all scripted models: the plays, the recorded requests, and answers as streams."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeAlias, TypeVar

from aiohttp import web

from tests.support.models.turns import Answer, Play

Json: TypeAlias = dict[str, Any]


class Endpoint:
    """One model. `requests` has the bodies of the requests that are part of a play, in order."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._plays = [Play(answers)]
        self._closing = asyncio.Event()
        self.numbers = count(1)
        self.url = ""
        self.requests: list[Json] = []
        # The headers of each request in `requests`, with lower-case names.
        self.headers: list[dict[str, str]] = []

    def play(self, answers: Sequence[Answer], marker: str) -> None:
        """Gives these answers to sessions whose prompt contains `marker`."""
        self._plays.insert(0, Play(answers, marker))

    def close(self) -> None:
        """Releases answers that are held open."""
        self._closing.set()

    def next(self, request: web.Request, body: Json) -> Answer:
        """Records a request; returns its answer."""
        self.requests.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        return next(play for play in self._plays if play.concerns(body)).next()

    async def stream(self, request: web.Request, said: Iterable[Json | None]) -> web.StreamResponse:
        """Answers with server-sent events; after None, it sends nothing more, and the answer stays open."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for event in said:
                if event is None:
                    await self._closing.wait()
                    break
                name = f"event: {event['type']}\n" if "type" in event else ""
                await response.write(f"{name}data: {json.dumps(event)}\n\n".encode())
            await response.write_eof()
        except ConnectionError:
            pass  # the agent was stopped and no longer reads
        return response


Model = TypeVar("Model", bound=Endpoint)
Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(model: Model, posts: Mapping[str, Handler], below: str = "") -> AsyncIterator[Model]:
    """Serves a model on a free loopback port; its `url` ends with `below`."""
    app = web.Application(client_max_size=64 << 20)
    for path, handler in posts.items():
        app.router.add_post(path, handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        model.url = f"http://{host}:{port}{below}"
        yield model
    finally:
        model.close()
        await runner.cleanup()
