"""Parses an XML file without building a tree or expanding entities, so memory use stays small."""

from collections.abc import Callable, Sequence
from typing import Final
from xml.parsers import expat

from agent_svc.reports.files import UnreadableError

# Reports are never nested more deeply.
MAX_DEPTH: Final = 100

# A report of 16 MiB has fewer elements and shorter tags than these.
MAX_ELEMENTS: Final = 1_000_000
MAX_TAG_BYTES: Final = 2 << 20

_CHUNK_BYTES: Final = 256 << 10


def walk(
    data: bytes,
    begin: Callable[[Sequence[str], dict[str, str]], None],
    end: Callable[[Sequence[str]], None],
) -> None:
    """Calls `begin` and `end` for each element with the names from the root to it. Raises UnreadableError.

    The names are valid only during the call.
    Never fetches an external document type. Rejects a document type inside the file.
    """
    path: list[str] = []
    elements = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal elements
        elements += 1
        if elements > MAX_ELEMENTS:
            raise UnreadableError(f"has more than {MAX_ELEMENTS:,} elements")
        path.append(name)
        if len(path) > MAX_DEPTH:
            raise UnreadableError("is nested too deeply")
        begin(path, attributes)

    def stop(_: str) -> None:
        end(path)
        path.pop()

    def doctype(_name: str, _system: str | None, _public: str | None, has_internal_subset: bool) -> None:
        if has_internal_subset:
            raise UnreadableError("defines entities or types of its own, which is not allowed")

    try:
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = doctype
        parser.StartElementHandler = start
        parser.EndElementHandler = stop
        view = memoryview(data)
        for at in range(0, len(data), _CHUNK_BYTES):
            parser.Parse(view[at : at + _CHUNK_BYTES], False)
            # The parser keeps a tag, a comment or the like until its end.
            if at - parser.CurrentByteIndex > MAX_TAG_BYTES:
                raise UnreadableError(f"has a tag or comment of more than {MAX_TAG_BYTES >> 20} MiB")
        parser.Parse(b"", True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise UnreadableError(f"is not valid XML: {error}") from error
