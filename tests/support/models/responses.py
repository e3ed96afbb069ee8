"""A model with OpenAI's Responses API on loopback that gives the answers of a test.

async with responses_model([Turn(calls=[Call("Bash", {"command": "ls"})]), Turn("Done.")]) as model:
    … an agent whose model provider has base_url=model.url …
    assert model.requests[0]["model"] == "…"

Calls are written as for other models: Bash becomes codex's exec_command, Write its
apply_patch; any other name is used unchanged.
"""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from tests.support.models.endpoint import Endpoint, Json, serving
from tests.support.models.turns import Answer, Call, Failure, Turn


class ResponsesModel(Endpoint):
    """The endpoint."""

    async def respond(self, request: web.Request) -> web.StreamResponse:
        answer = self.next(request, await request.json())
        if isinstance(answer, Failure):
            error = {"message": answer.message, "type": "scripted", "code": None, **answer.error}
            return web.json_response({"error": error}, status=answer.status, headers=dict(answer.headers))
        return await self.stream(request, stream(answer, next(self.numbers)))


def items(turn: Turn, number: int) -> list[Json]:
    """Returns the output items of an answer."""
    found: list[Json] = []
    if turn.thinking:
        summary = [{"type": "summary_text", "text": turn.thinking}]
        found.append({"type": "reasoning", "id": f"rs_{number:08}", "summary": summary})
    if turn.refuses:
        content = [{"type": "refusal", "refusal": turn.text}]
        found.append({"type": "message", "id": f"msg_{number:08}", "role": "assistant", "content": content})
    elif turn.text:
        content = [{"type": "output_text", "text": turn.text}]
        found.append({"type": "message", "id": f"msg_{number:08}", "role": "assistant", "content": content})
    found += [_call(call, f"call_{number:04}{place:04}") for place, call in enumerate(turn.calls)]
    return found


def _call(call: Call, call_id: str) -> Json:
    if call.name == "Write":
        lines = str(call.input["content"]).splitlines()
        patch = [
            "*** Begin Patch",
            f"*** Add File: {call.input['file_path']}",
            *(f"+{line}" for line in lines),
            "*** End Patch",
        ]
        return {
            "type": "custom_tool_call",
            "id": f"ctc_{call_id}",
            "call_id": call_id,
            "name": "apply_patch",
            "input": "\n".join(patch),
        }
    name, arguments = call.name, dict(call.input)
    if name == "Bash":
        name, arguments = "exec_command", {"cmd": call.input["command"]}
    return {
        "type": "function_call",
        "id": f"fc_{call_id}",
        "call_id": call_id,
        "name": name,
        "arguments": json.dumps(arguments),
    }


def stream(turn: Turn, number: int) -> Iterator[Json | None]:
    """Yields the server-sent events of an answer; None where the answer stays open."""
    response: Json = {"id": f"resp_{number:08}"}
    yield {"type": "response.created", "response": response}
    for index, item in enumerate(items(turn, number)):
        yield {"type": "response.output_item.added", "output_index": index, "item": item}
        if item["type"] == "message" and not turn.refuses:
            text = item["content"][0]["text"]
            yield {"type": "response.output_text.delta", "output_index": index, "delta": text}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    if turn.holds:
        yield None
    usage = {
        "input_tokens": turn.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": turn.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": turn.input_tokens + turn.output_tokens,
    }
    yield {"type": "response.completed", "response": {**response, "usage": usage}}


@asynccontextmanager
async def responses_model(answers: Sequence[Answer] = ()) -> AsyncIterator[ResponsesModel]:
    """Serves a scripted model on a free loopback port."""
    model = ResponsesModel(answers)
    async with serving(model, {"/v1/responses": model.respond}, below="/v1"):
        yield model
