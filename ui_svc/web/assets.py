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
    """Files that never change while the process runs; each is compressed once.

    All are served below one hash of all of them, so that they can name each other by relative addresses.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """`files` maps names that end in .css or .js to the contents."""
        digest = hashlib.sha256()
        for name, content in sorted(files.items()):
            digest.update(f"{name} {len(content)}\n".encode() + content)
        folder = f"/assets/{digest.hexdigest()[:16]}"
        # The path of each file, by name.
        self.paths: Final = {name: f"{folder}/{name}" for name in files}
        self._assets: Final = {
            self.paths[name]: _Asset(plain, gzip.compress(plain, mtime=0), _TYPES[name.rpartition(".")[2]])
            for name, plain in files.items()
        }

    def router(self) -> APIRouter:
        """Returns the routes that serve the files."""
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
