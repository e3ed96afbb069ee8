"""Programs that npm installs."""

import json
from pathlib import Path


def npm_version(program: Path) -> str:
    """Returns the version of the npm package that contains `program`; empty if it is unknown."""
    path = program.resolve()
    for folder in path.parents if "node_modules" in path.parts else ():
        try:
            package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(package, dict) and isinstance(package.get("version"), str):
            version: str = package["version"]
            return version
    return ""
