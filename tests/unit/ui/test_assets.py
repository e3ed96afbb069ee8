"""Files that browsers cache permanently."""

import gzip

import httpx
import pytest
from fastapi import FastAPI

from ui_svc.web.assets import Assets

SHEET = b"body { color: red }\n" * 100


@pytest.mark.parametrize(("accepted", "packed"), [("gzip, br", True), ("identity", False)])
async def test_a_file_is_kept_for_good_and_packed_for_who_can_unpack_it(accepted: str, packed: bool) -> None:
    """A file's URL changes with any file's content, and it is compressed for clients that support that."""
    assets = Assets({"a.css": SHEET, "b.js": b"1"})
    app = FastAPI()
    app.include_router(assets.router())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        request = client.build_request("GET", assets.paths["a.css"], headers={"accept-encoding": accepted})
        answer = await client.send(request, stream=True)
        body = b"".join([part async for part in answer.aiter_raw()])
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["vary"] == "accept-encoding"
    assert (gzip.decompress(body) if packed else body) == SHEET
    # The files of a build name each other by relative addresses.
    assert assets.paths["b.js"].rpartition("/")[0] == assets.paths["a.css"].rpartition("/")[0]
    assert assets.paths["a.css"] != Assets({"a.css": SHEET, "b.js": b"2"}).paths["a.css"]
