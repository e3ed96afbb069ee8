"""A model that speaks Google's Gemini API on loopback and says what a test wrote down.

async with gemini_model([Turn(calls=[Call("Bash", {"command": "ls"})]), Turn("Done.")]) as model:
    … an agent with GOOGLE_GEMINI_BASE_URL=model.url …
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from aiohttp import web

from tests.support.models.turns import DONE, Answer, Call, Failure, Play, Turn

Json: TypeAlias = dict[str, Any]

# What gemini-cli calls the tools that other models know by these names.
NAMES = {"Bash": "run_shell_command", "Write": "write_file", "Read": "read_file"}


class GeminiModel:
    """The endpoint. `requests` holds the bodies of what it was asked with tools, in order."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._play = Play(answers)
        self._closing = asyncio.Event()
        self.url = ""
        self.requests: list[Json] = []

    def close(self) -> None:
        """Lets go of answers that are held open."""
        self._closing.set()

    async def respond(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        answer: Answer = DONE
        # The agent also asks small questions of its own, as which model to take.
        if body.get("tools"):
            self.requests.append(body)
            answer = self._play.next()
        if isinstance(answer, Failure):
            error = {"code": answer.status, "message": answer.message, "status": "SCRIPTED"}
            return web.json_response({"error": error}, status=answer.status, headers=dict(answer.headers))
        if "stream" not in request.path:
            return web.json_response(_message(answer))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await response.write(f"data: {json.dumps(_message(answer))}\n\n".encode())
            if answer.holds:
                await self._closing.wait()
            await response.write_eof()
        except ConnectionError:
            pass  # the agent was stopped; nobody listens any more
        return response


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
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/{version}/models/{call}", model.respond)
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
