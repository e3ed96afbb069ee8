"""Reads modules.toml and equivalents.toml."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests.mutants.mutation import Identity

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent


class Judged(NamedTuple):
    """A module, its package and its tests, as paths from the root of the repository."""

    package: str
    module: str
    tests: tuple[str, ...]


class Equivalent(NamedTuple):
    """A mutant that no test can notice."""

    module: str
    function: str
    line: str
    becomes: str


def judged() -> list[Judged]:
    """Returns all modules of modules.toml in its order."""
    packages = tomllib.loads((HERE / "modules.toml").read_text(encoding="utf-8"))
    return [
        Judged(package, f"{package}/{module}.py", tuple(_test(said["tests"], test) for test in tests))
        for package, said in packages.items()
        for module, tests in said["modules"].items()
    ]


def _test(folder: str, name: str) -> str:
    return name if name.endswith(".py") else f"{folder}/test_{name}.py"


def equivalents() -> Mapping[Equivalent, str]:
    """Returns the reasons of equivalents.toml by mutant."""
    said = tomllib.loads((HERE / "equivalents.toml").read_text(encoding="utf-8"))
    return {
        Equivalent(each["module"], each["function"], each["line"], each["becomes"]): each["reason"]
        for each in said.get("mutant", [])
    }


def equivalent(identity: Identity) -> Equivalent:
    """Returns what an entry of equivalents.toml says to name the mutant."""
    return Equivalent(identity.module, identity.function, identity.line, identity.becomes)
