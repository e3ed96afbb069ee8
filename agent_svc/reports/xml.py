"""Parses an XML file without building a tree or expanding entities, so memory use stays small."""

from collections.abc import Callable
from typing import Final
from xml.parsers import expat

from agent_svc.reports.files import UnreadableError

# Reports are never nested more deeply.
MAX_DEPTH: Final = 100


def walk(
    data: bytes,
    begin: Callable[[tuple[str, ...], dict[str, str]], None],
    end: Callable[[tuple[str, ...]], None],
) -> None:
    """Calls `begin` and `end` for each element with the names from the root to it. Raises UnreadableError.

    Never fetches an external document type. Rejects a document type inside the file.
    """
    path: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        path.append(name)
        if len(path) > MAX_DEPTH:
            raise UnreadableError("is nested too deeply")
        begin(tuple(path), attributes)

    def stop(_: str) -> None:
        end(tuple(path))
        path.pop()

    def doctype(_name: str, _system: str | None, _public: str | None, has_internal_subset: bool) -> None:
        if has_internal_subset:
            raise UnreadableError("defines entities or types of its own, which is not allowed")

    try:
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = doctype
        parser.StartElementHandler = start
        parser.EndElementHandler = stop
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise UnreadableError(f"is not valid XML: {error}") from error
