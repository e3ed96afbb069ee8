"""Measures how the modules of each package build on each other: `python -m tests.structure`.

A room is a folder or a module directly below a package. An arrow says that something in
one room imports something in another. A level is a room's distance from the rooms that
import no other: the longest chain of imports is as long as the number of levels.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

import grimp

PACKAGES: Final = ("scheduler_svc", "worktree_svc", "agent_svc", "ui_svc", "heddle.cli")


@dataclass(frozen=True)
class Structure:
    """How a package is built."""

    modules: int
    folders: int
    # Modules directly in the folder that has the most.
    fullest: int
    rooms: int
    levels: int
    arrows: int
    # Pairs of rooms that import each other, directly or through others.
    circles: int


def main() -> int:
    """Prints a table of all packages; returns the exit code."""
    print(
        f"{'package':16}{'modules':>8}{'folders':>8}{'fullest':>8}{'rooms':>7}{'levels':>7}{'arrows':>7}{'circles':>8}"
    )
    for package in PACKAGES:
        found = measure(package)
        print(
            f"{package:16}{found.modules:8}{found.folders:8}{found.fullest:8}{found.rooms:7}{found.levels:7}"
            f"{found.arrows:7}{found.circles:8}"
        )
    return 0


def measure(package: str) -> Structure:
    """Returns the structure of an importable package of this checkout."""
    graph = grimp.build_graph(package.partition(".")[0])
    modules = {name for name in graph.modules if name == package or name.startswith(f"{package}.")}
    folders = {name for name in modules if graph.find_children(name)}
    files = modules - folders
    rooms = graph.find_children(package)
    imports = {
        room: {
            target
            for module in _below(room, modules)
            for imported in graph.find_modules_directly_imported_by(module)
            if (target := _room(imported, rooms)) and target != room
        }
        for room in rooms
    }
    reached = {room: _reachable(room, imports) for room in rooms}
    circles = sum(
        one in reached[other] and other in reached[one] for one in rooms for other in rooms if one < other
    )
    return Structure(
        modules=len(files),
        folders=len(folders),
        fullest=max(len(files & graph.find_children(folder)) for folder in folders),
        rooms=len(rooms),
        levels=_levels(imports) if not circles else 0,
        arrows=sum(map(len, imports.values())),
        circles=circles,
    )


def _below(room: str, modules: Iterable[str]) -> Iterable[str]:
    return (name for name in modules if name == room or name.startswith(f"{room}."))


def _room(module: str, rooms: Iterable[str]) -> str | None:
    return next((room for room in rooms if module == room or module.startswith(f"{room}.")), None)


def _reachable(room: str, imports: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [*imports[room]]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += imports[each]
    return found


def _levels(imports: dict[str, set[str]]) -> int:
    @cache
    def level(room: str) -> int:
        return 1 + max(map(level, imports[room]), default=0)

    return max(map(level, imports))


if __name__ == "__main__":
    sys.exit(main())
