"""HTTP endpoints of sessions: their logs, screenshots, and the operator's answers."""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Body
from fastapi.responses import Response, StreamingResponse

from heddle import errors
from heddle.client import HeddleClient
from heddle.names import AttemptName
from ui_svc import addresses, transcript, views
from ui_svc.views import View

# More than any log has: "the newest page" reads backwards from here.
END_OF_LOG: Final = 1 << 62

# Events in one page of a log.
PAGE_EVENTS: Final = 2000

_ARTIFACT: Final = re.compile(r"sha256:[0-9a-f]{64}")

# The only artifacts that are shown as what they are; SVG, say, can carry scripts.
_IMAGES: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
}

Answer: TypeAlias = Annotated[dict[str, Any], Body()]


class SessionCalls:
    """Translates between the browser's JSON and the client's calls."""

    def __init__(self, client: HeddleClient) -> None:
        self._client = client

    def add_to(self, router: APIRouter) -> None:
        router.get(addresses.ATTEMPT)(self.get_attempt)
        router.post(addresses.ATTEMPT + ":stop")(self.stop_attempt)
        router.post(addresses.ATTEMPT + ":resolve")(self.resolve_approval)
        router.get(addresses.ATTEMPT + "/events")(self.list_events)
        router.get(addresses.ATTEMPT + "/log.txt")(self.download_log)
        router.get(addresses.ATTEMPT + "/artifacts/{artifact}")(self.read_artifact)

    async def get_attempt(self, name: addresses.Attempt) -> View:
        return views.whole_attempt(await self._client.get_attempt(str(name)))

    async def stop_attempt(self, name: addresses.Attempt) -> View:
        """Answers when the agent and all its descendants are gone."""
        return views.attempt(await self._client.stop_attempt(str(name)))

    async def resolve_approval(self, name: addresses.Attempt, answer: Answer) -> View:
        await self._client.resolve_approval(
            str(name),
            str(answer.get("approval_id", "")),
            approved=bool(answer.get("approved")),
            message=str(answer.get("message", "")),
        )
        return {}

    async def list_events(
        self, name: addresses.Attempt, after: int | None = None, before: int = END_OF_LOG
    ) -> View:
        """Returns a page behind `after`, or without it the newest page ahead of `before`."""
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
        }

    async def download_log(self, name: addresses.Attempt) -> Response:
        """Streams the whole log as text, however long it is."""
        # An unknown attempt is answered before the first byte, while it still can be.
        await self._client.get_attempt(str(name))
        file = f"{name.run}-{name.epic}-{name.task}-{name.number}.log"
        return StreamingResponse(
            self._log_lines(name),
            media_type="text/plain; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{file}"'},
        )

    async def read_artifact(self, name: addresses.Attempt, artifact: str) -> Response:
        """Returns an image; anything else only as a file to save."""
        if not _ARTIFACT.fullmatch(artifact):
            raise errors.invalid_field("artifact", "takes sha256: and 64 hexadecimal digits")
        data = await self._client.read_artifact(str(name), artifact)
        media_type = next((kind for magic, kind in _IMAGES.items() if data.startswith(magic)), None)
        headers = {
            "Content-Security-Policy": "sandbox; default-src 'none'",
            # Named by its content, so it never changes.
            "Cache-Control": "private, max-age=31536000, immutable",
        }
        if media_type is None:
            headers["Content-Disposition"] = "attachment"
        return Response(data, media_type=media_type or "application/octet-stream", headers=headers)

    async def _log_lines(self, name: AttemptName) -> AsyncIterator[str]:
        after = 0
        while True:
            page = await self._client.list_session_events(str(name), after=after, page_size=PAGE_EVENTS)
            yield "".join(transcript.lines(event) for event in page.events)
            if not page.more or not page.events:
                return
            after = page.events[-1].sequence
