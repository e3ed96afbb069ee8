"""A model that speaks Anthropic's Messages API on loopback and says what a test wrote down.

async with anthropic_model([Turn(calls=[Call("Bash", {"command": "ls"})]), Turn("Done.")]) as model:
    … an agent with ANTHROPIC_BASE_URL=model.url …
    assert model.requests[0]["model"] == "…"
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeAlias

from aiohttp import web

from tests.support.models.turns import Answer, Failure, Play, Turn

Json: TypeAlias = dict[str, Any]

# Characters in one delta of a text.
DELTA = 16 << 10

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicModel:
    """The endpoint. `requests` holds the bodies of what it was asked with tools, in order."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._plays = [Play(answers)]
        self._numbers = count(1)
        self._closing = asyncio.Event()
        self.url = ""
        self.requests: list[Json] = []
        # Of each request that is in `requests`.
        self.headers: list[dict[str, str]] = []

    def play(self, answers: Sequence[Answer], marker: str) -> None:
        """Answers sessions whose prompt holds `marker` by these answers instead."""
        self._plays.insert(0, Play(answers, marker))

    def close(self) -> None:
        """Lets go of answers that are held open."""
        self._closing.set()

    async def messages(self, request: web.Request) -> web.StreamResponse:
        body: Json = await request.json()
        if not body.get("tools"):
            # Agents ask such things on the side: for a title, for a summary.
            return await self._answer(request, body, Turn(text="Noted."))
        self.requests.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        play = next(play for play in self._plays if play.concerns(body))
        return await self._answer(request, body, play.next())

    async def count_tokens(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"input_tokens": len(await request.text()) // 4})

    async def _answer(self, request: web.Request, body: Json, answer: Answer) -> web.StreamResponse:
        if isinstance(answer, Failure):
            kind = ERROR_TYPES.get(answer.status, "api_error")
            error = {"type": "error", "error": {"type": kind, "message": answer.message}}
            return web.json_response(error, status=answer.status, headers=dict(answer.headers))
        number = next(self._numbers)
        if not body.get("stream"):
            return web.json_response(_message(body, answer, number))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for event in stream(body, answer, number):
                if answer.holds and event["type"] == "content_block_stop":
                    await self._closing.wait()
                    break
                await response.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
            await response.write_eof()
        except ConnectionError:
            pass  # the agent was stopped; nobody listens any more
        return response


def blocks(turn: Turn, number: int) -> list[Json]:
    """Returns the content of an answer."""
    found: list[Json] = []
    if turn.thinking:
        found.append({"type": "thinking", "thinking": turn.thinking, "signature": "scripted"})
    if turn.text:
        found.append({"type": "text", "text": turn.text})
    found += [
        {
            "type": "tool_use",
            "id": f"toolu_{number:04}{place:04}",
            "name": call.name,
            "input": dict(call.input),
        }
        for place, call in enumerate(turn.calls)
    ]
    return found


def stream(body: Json, turn: Turn, number: int) -> Iterator[Json]:
    """Yields the server-sent events of an answer."""
    started = {**_message(body, turn, number), "content": [], "stop_reason": None}
    started["usage"] = {**started["usage"], "output_tokens": 1}
    yield {"type": "message_start", "message": started}
    for index, block in enumerate(blocks(turn, number)):
        yield from _block(index, block)
    stop = {"stop_reason": _stop_reason(turn), "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": turn.output_tokens}}
    yield {"type": "message_stop"}


def _block(index: int, block: Json) -> Iterator[Json]:
    empty: Json
    match block["type"]:
        case "thinking":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case "text":
            empty = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
        case _:
            empty = {**block, "input": {}}
            told = json.dumps(block["input"])
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _pieces(told)]
    yield {"type": "content_block_start", "index": index, "content_block": empty}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _pieces(text: str) -> Iterator[str]:
    # A short text comes in two, as a model's does.
    size = min(DELTA, max(1, (len(text) + 1) // 2))
    for begin in range(0, len(text), size):
        yield text[begin : begin + size]


def _message(body: Json, turn: Turn, number: int) -> Json:
    usage = {
        "input_tokens": turn.input_tokens,
        "output_tokens": turn.output_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
    }
    return {
        "id": f"msg_{number:08}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": blocks(turn, number),
        "stop_reason": _stop_reason(turn),
        "stop_sequence": None,
        "usage": usage,
    }


def _stop_reason(turn: Turn) -> str:
    return "tool_use" if turn.calls else "end_turn"


@asynccontextmanager
async def anthropic_model(answers: Sequence[Answer] = ()) -> AsyncIterator[AnthropicModel]:
    """Serves a scripted model on a free loopback port."""
    model = AnthropicModel(answers)
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v1/messages", model.messages)
    app.router.add_post("/v1/messages/count_tokens", model.count_tokens)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        model.url = f"http://{host}:{port}"
        yield model
    finally:
        model.close()
        await runner.cleanup()
