"""Text that JSON can contain and UTF-8 cannot."""

import httpx
import pytest
from fastapi import FastAPI

from heddle.client import HeddleClient
from ui_svc.endpoints import router

EPIC = "/api/runs/r/epics/e"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{EPIC}:submitResolution", '{"files": [{"index": 0, "whole": "ab\\ud800"}]}'),
        (f"{EPIC}:submitResolution", '{"files": [{"index": 0, "new_path": "ab\\ud800"}]}'),
        (f"{EPIC}/tasks/t/attempts/1:send", '{"text": "ab\\ud800"}'),
        (f"{EPIC}/tasks/t/attempts/1:resolve", '{"approval_id": "ab\\ud800", "approved": true}'),
    ],
)
async def test_half_a_character_is_refused(path: str, body: str) -> None:
    """A lone surrogate, as in an emoji that was cut, is an error of the request that says where it is."""
    async with HeddleClient("127.0.0.1:1", patience=0) as client:
        app = FastAPI()
        router.install(app, client, lambda _: client, one_machine=True)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as browser:
            answer = await browser.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    (violation,) = answer.json()["violations"]
    assert violation["message"] == r"has '\ud800', half of a character, after 2 others; remove it"
