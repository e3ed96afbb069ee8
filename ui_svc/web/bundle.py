"""Bundles the browser's modules into one script, because a hundred separate requests take seconds.

Each module becomes a function that returns its exports, and comes after the modules that it imports.
Only the forms of `import` and `export` that our modules use are supported.
"""

import re
from collections.abc import Mapping
from typing import Final

_IMPORT: Final = re.compile(r'^import \{\s+([^}]+?),?\s+\} from "([^"]+)";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export ((?:const|class|(?:async )?function) ([\w$]+))", re.MULTILINE)
_UNKNOWN: Final = re.compile(r"^(?:import(?!\()|export)\b.*", re.MULTILINE)


def bundle(modules: Mapping[str, str], entry: str) -> str:
    """Returns one module with the exports of `entry`, and with the exports of each module as `modules`.

    The argument `modules` maps file names to texts. Modules import each other as "./NAME", and anything
    else by a name in the page's import map. Raises ValueError for an unsupported form, a missing module or
    a circular import.
    """
    done: dict[str, str] = {}
    foreign: dict[str, str] = {}
    exports = _add(entry, modules, done, foreign, ())
    return "\n".join(
        [
            *(f'import * as {name} from "{source}";' for source, name in foreign.items()),
            "export const modules = {};",
            *done.values(),
            f'export const {{ {", ".join(exports)} }} = modules["{entry}"];',
            "",
        ]
    )


def _add(
    name: str,
    modules: Mapping[str, str],
    done: dict[str, str],
    foreign: dict[str, str],
    importers: tuple[str, ...],
) -> list[str]:
    """Adds the module to `done` after the modules that it imports; returns the names that it exports."""
    if name in importers:
        raise ValueError(f"{' imports '.join([*importers, name])}: a circular import")
    if name not in modules:
        raise ValueError(
            f"{importers[-1] if importers else 'the bundle'} imports {name}, which does not exist"
        )

    def take(found: re.Match[str]) -> str:
        names, source = " ".join(found[1].split()).replace(" as ", ": "), found[2]
        if not source.startswith("./"):
            return f"const {{ {names} }} = {foreign.setdefault(source, f'foreign{len(foreign)}')};"
        source = source.removeprefix("./")
        if source not in done:
            _add(source, modules, done, foreign, (*importers, name))
        return f'const {{ {names} }} = modules["{source}"];'

    exports = [found[2] for found in _EXPORT.finditer(modules[name])]
    body = _EXPORT.sub(r"\1", _IMPORT.sub(take, modules[name]))
    if unknown := _UNKNOWN.search(body):
        raise ValueError(f"{name}: the bundle does not support this form: {unknown[0]}")
    done[name] = "\n".join(
        [
            f"// {name}",
            f'modules["{name}"] = (() => {{',
            body.rstrip(),
            f"return {{ {', '.join(exports)} }};",
            "})();",
        ]
    )
    return exports
