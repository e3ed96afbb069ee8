"""A model with Anthropic's Messages API on loopback that gives the answers of a test.

async with anthropic_model([Turn(calls=[Call("Bash", {"command": "ls"})]), Turn("Done.")]) as model:
    … an agent with ANTHROPIC_BASE_URL=model.url …
    assert model.requests[0]["model"] == "…"
"""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from tests.support.models.endpoint import Endpoint, Json, serving
from tests.support.models.turns import Answer, Failure, Turn

# Characters in one delta of a text.
DELTA = 16 << 10

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicModel(Endpoint):
    """The endpoint. Requests without tools are not part of any play."""

    async def messages(self, request: web.Request) -> web.StreamResponse:
        body: Json = await request.json()
        # Agents send such requests in addition: for a title, for a summary.
        answer = self.next(request, body) if body.get("tools") else Turn(text="Noted.")
        if isinstance(answer, Failure):
            kind = ERROR_TYPES.get(answer.status, "api_error")
            error = {"type": kind, "message": answer.message, **answer.error}
            return web.json_response(
                {"type": "error", "error": error}, status=answer.status, headers=dict(answer.headers)
            )
        number = next(self.numbers)
        if not body.get("stream"):
            return web.json_response(_message(body, answer, number))
        return await self.stream(request, stream(body, answer, number))

    async def count_tokens(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"input_tokens": len(await request.text()) // 4})


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


def stream(body: Json, turn: Turn, number: int) -> Iterator[Json | None]:
    """Yields the server-sent events of an answer; None where the answer stays open."""
    started = {**_message(body, turn, number), "content": [], "stop_reason": None}
    started["usage"] = {**started["usage"], "output_tokens": 1}
    yield {"type": "message_start", "message": started}
    for index, block in enumerate(blocks(turn, number)):
        for event in _block(index, block):
            yield None if turn.holds and event["type"] == "content_block_stop" else event
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
    # A short text is sent in two pieces, as by a real model.
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
    if turn.refuses:
        return "refusal"
    return "tool_use" if turn.calls else "end_turn"


@asynccontextmanager
async def anthropic_model(answers: Sequence[Answer] = ()) -> AsyncIterator[AnthropicModel]:
    """Serves a scripted model on a free loopback port."""
    model = AnthropicModel(answers)
    posts = {"/v1/messages": model.messages, "/v1/messages/count_tokens": model.count_tokens}
    async with serving(model, posts):
        yield model
