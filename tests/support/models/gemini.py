"""A model with Google's Gemini API on loopback that gives the answers of a test.

async with gemini_model([Turn(calls=[Call("Bash", {"command": "ls"})]), Turn("Done.")]) as model:
    … an agent with GOOGLE_GEMINI_BASE_URL=model.url …
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from tests.support.models.endpoint import Endpoint, Json, serving
from tests.support.models.turns import DONE, Answer, Call, Failure, Turn

# The names of these tools in gemini-cli.
NAMES = {"Bash": "run_shell_command", "Write": "write_file", "Read": "read_file"}


class GeminiModel(Endpoint):
    """The endpoint. Requests without tools are not part of any play."""

    async def respond(self, request: web.Request) -> web.StreamResponse:
        body: Json = await request.json()
        # The agent also sends small requests of its own, for example which model to use.
        answer = self.next(request, body) if body.get("tools") else DONE
        if isinstance(answer, Failure):
            error = {"code": answer.status, "message": answer.message, "status": "SCRIPTED"}
            return web.json_response({"error": error}, status=answer.status, headers=dict(answer.headers))
        if "stream" not in request.path:
            return web.json_response(_message(answer))
        return await self.stream(request, stream(answer))


def stream(turn: Turn) -> Iterator[Json | None]:
    """Yields the server-sent events of an answer; None where the answer stays open."""
    yield _message(turn)
    if turn.holds:
        yield None


def _message(turn: Turn) -> Json:
    parts: list[Json] = [{"text": turn.thinking, "thought": True}] if turn.thinking else []
    parts += [{"text": turn.text}] if turn.text else []
    parts += [{"functionCall": _call(call)} for call in turn.calls]
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": turn.input_tokens,
            "candidatesTokenCount": turn.output_tokens,
            "totalTokenCount": turn.input_tokens + turn.output_tokens,
        },
    }


def _call(call: Call) -> Json:
    return {"name": NAMES.get(call.name, call.name), "args": dict(call.input)}


@asynccontextmanager
async def gemini_model(answers: Sequence[Answer] = ()) -> AsyncIterator[GeminiModel]:
    """Serves a scripted model on a free loopback port."""
    model = GeminiModel(answers)
    async with serving(model, {"/{version}/models/{call}": model.respond}):
        yield model
