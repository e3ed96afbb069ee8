"""Serves files that browsers can cache forever, because each address contains a hash of the content."""

import gzip
import hashlib
from collections.abc import Mapping
from typing import Final, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response

_TYPES: Final = {"css": "text/css", "js": "text/javascript"}

_HEADERS: Final = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}


class _Asset(NamedTuple):
    plain: bytes
    packed: bytes
    media_type: str


class Assets:
    """Texts that never change while the process runs; each is compressed once."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """`texts` maps names that end in .css or .js to the texts."""
        # The path of each text, by name.
        self.paths: Final[dict[str, str]] = {}
        self._assets: Final[dict[str, _Asset]] = {}
        for name, text in texts.items():
            plain = text.encode()
            path = f"/assets/{hashlib.sha256(plain).hexdigest()[:16]}/{name}"
            self.paths[name] = path
            self._assets[path] = _Asset(plain, gzip.compress(plain, mtime=0), _TYPES[name.rpartition(".")[2]])

    def router(self) -> APIRouter:
        """Returns the routes that serve the texts."""
        router = APIRouter()
        for path in self._assets:
            router.add_api_route(path, self._serve)
        return router

    async def _serve(self, request: Request) -> Response:
        asset = self._assets[request.scope["route"].path]
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(asset.plain, headers=_HEADERS, media_type=asset.media_type)
        headers = {**_HEADERS, "content-encoding": "gzip"}
        return Response(asset.packed, headers=headers, media_type=asset.media_type)
