"""HTTP endpoints for sessions: their logs, screenshots, and the operator's answers."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Body
from fastapi.responses import Response, StreamingResponse

from heddle import errors, pb
from heddle.client import HeddleClient
from heddle.names import AttemptName
from ui_svc import views
from ui_svc.endpoints import addresses
from ui_svc.views import View, attempt_comparison, transcript

# Higher than any sequence in a log: "the newest page" reads backwards from here.
END_OF_LOG: Final = 1 << 62

# Events in one page of a log.
PAGE_EVENTS: Final = 2000

_ARTIFACT: Final = re.compile(r"sha256:[0-9a-f]{64}")

# The only artifacts that are served with their own type; SVG, for example, can contain scripts.
_IMAGES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
}

_SCOPES: Final = {"session": pb.APPROVAL_SCOPE_SESSION, "run": pb.APPROVAL_SCOPE_RUN}

Answer: TypeAlias = Annotated[dict[str, Any], Body()]


class SessionCalls:
    """Translates between the browser's JSON and the client's calls."""

    def __init__(self, client: HeddleClient) -> None:
        self._client = client

    def add_to(self, router: APIRouter) -> None:
        router.get(addresses.ATTEMPT)(self.get_attempt)
        router.get(addresses.ATTEMPT + "/budgets")(self.get_budgets)
        router.post(addresses.ATTEMPT + ":stop")(self.stop_attempt)
        router.post(addresses.ATTEMPT + ":resolve")(self.resolve_approval)
        router.post(addresses.ATTEMPT + ":send")(self.send_message)
        router.get(addresses.ATTEMPT + "/events")(self.list_events)
        router.get(addresses.ATTEMPT + "/log.txt")(self.download_text)
        router.get(addresses.ATTEMPT + "/log.jsonl")(self.download_events)
        router.get(addresses.ATTEMPT + "/artifacts/{artifact}")(self.read_artifact)

    async def get_attempt(self, name: addresses.Attempt) -> View:
        """Returns the attempt.

        `since` is the difference from the epic's previously accepted task, None for the first.
        """
        attempt, tasks = await asyncio.gather(
            self._client.get_attempt(str(name)), self._client.list_tasks(str(name.parent.parent))
        )
        before = attempt_comparison.accepted_before(tasks, name)
        since = attempt_comparison.compared(before, attempt.checks) if before else None
        return {**views.whole_attempt(attempt), "since": since}

    async def get_budgets(self, name: addresses.Attempt) -> View:
        """Returns the costs and budgets of the session, its task, epic and run."""
        task, epic, run = str(name.parent), str(name.parent.parent), f"runs/{name.run}"
        of_task, of_epic, of_run = await asyncio.gather(
            *(self._client.list_costs(each, page_size=500) for each in (task, epic, run))
        )
        own = next((each for each in of_task.costs if each.name == str(name)), pb.Cost())
        costs = {"session": own, "task": of_task.total, "epic": of_epic.total, "run": of_run.total}
        return {word: views.cost(cost) for word, cost in costs.items()}

    async def stop_attempt(self, name: addresses.Attempt) -> View:
        """Stops an attempt; responds once the agent and all its descendants have ended."""
        return views.attempt(await self._client.stop_attempt(str(name)))

    async def resolve_approval(self, name: addresses.Attempt, answer: Answer) -> View:
        await self._client.resolve_approval(
            str(name),
            str(answer.get("approval_id", "")),
            approved=bool(answer.get("approved")),
            message=str(answer.get("message", "")),
            scope=_SCOPES.get(str(answer.get("scope")), pb.APPROVAL_SCOPE_UNSPECIFIED),
        )
        return {}

    async def send_message(self, name: addresses.Attempt, words: Answer) -> View:
        """Sends a message to the agent; a repeated message_id sends it only once."""
        await self._client.send_message(
            str(name), str(words.get("text", "")), message_id=str(words.get("message_id", ""))
        )
        return {}

    async def list_events(
        self, name: addresses.Attempt, after: int | None = None, before: int = END_OF_LOG
    ) -> View:
        """Returns the page after `after` if it is given, otherwise the newest page before `before`."""
        page = await self._client.list_session_events(
            str(name),
            after=after or 0,
            before=before if after is None else 0,
            page_size=PAGE_EVENTS,
        )
        return {
            "events": [views.event(each) for each in page.events],
            "more": page.more,
            "last": page.last_sequence,
            "oldest": page.oldest_sequence,
        }

    async def download_text(self, name: addresses.Attempt) -> Response:
        """Streams the whole log as text, regardless of its length."""
        return await self._download(name, transcript.lines, "log", "text/plain; charset=utf-8")

    async def download_events(self, name: addresses.Attempt) -> Response:
        """Streams the whole log as the canonical JSON of its events, one per line."""
        return await self._download(name, transcript.json_line, "jsonl", "application/x-ndjson")

    async def read_artifact(self, name: addresses.Attempt, artifact: str) -> Response:
        """Returns an image for display, and any other artifact only as a download."""
        if not _ARTIFACT.fullmatch(artifact):
            raise errors.invalid_field("artifact", "takes sha256: and 64 hexadecimal digits")
        data = await self._client.read_artifact(str(name), artifact)
        media_type = next((kind for magic, kind in _IMAGES.items() if data.startswith(magic)), None)
        headers = {
            "Content-Security-Policy": "sandbox; default-src 'none'",
            # The name is derived from the content, so the content never changes.
            "Cache-Control": "private, max-age=31536000, immutable",
        }
        if media_type is None:
            headers["Content-Disposition"] = "attachment"
        return Response(data, media_type=media_type or "application/octet-stream", headers=headers)

    async def _download(
        self, name: AttemptName, write: Callable[[pb.Event], str], ending: str, media_type: str
    ) -> Response:
        # An unknown attempt is reported before the first byte, while the status can still be set.
        await self._client.get_attempt(str(name))
        file = f"{name.run}-{name.epic}-{name.task}-{name.number}.{ending}"
        return StreamingResponse(
            self._log(name, write),
            media_type=media_type,
            headers={"Content-Disposition": f'attachment; filename="{file}"'},
        )

    async def _log(self, name: AttemptName, write: Callable[[pb.Event], str]) -> AsyncIterator[str]:
        newest = await self._client.list_session_events(str(name), before=END_OF_LOG, page_size=1)
        after = max(newest.oldest_sequence - 1, 0)
        while True:
            page = await self._client.list_session_events(str(name), after=after, page_size=PAGE_EVENTS)
            yield "".join(write(event) for event in page.events)
            if not page.more or not page.events:
                return
            after = page.events[-1].sequence
