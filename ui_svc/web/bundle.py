"""Makes one script of the browser's modules: a hundred files, asked for one by one, take seconds.

Each module becomes a function that returns what it exports, in an order in which each comes behind
those that it imports. It knows the forms of `import` and `export` that our modules use, and no more.
"""

import re
from collections.abc import Mapping
from typing import Final

_IMPORT: Final = re.compile(r'^import \{ ([^}]+) \} from "([^"]+)";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export ((?:const|class|(?:async )?function) ([\w$]+))", re.MULTILINE)
_UNKNOWN: Final = re.compile(r"^(?:import(?!\()|export)\b.*", re.MULTILINE)


def bundle(modules: Mapping[str, str], entry: str) -> str:
    """Returns one module that exports what `entry` does, and as `modules` what each module does.

    `modules`: texts by the name of their file. They import each other as "./NAME" and anything
    else by a name that the page's import map knows. Raises ValueError for another form, a missing
    module, or modules that import each other in a circle.
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
    """Puts the module behind those that it imports into `done`; returns the names that it exports."""
    if name in importers:
        raise ValueError(f"{' imports '.join([*importers, name])}: a circle")
    if name not in modules:
        raise ValueError(f"{importers[-1] if importers else 'the bundle'} imports {name}, which is not there")

    def take(found: re.Match[str]) -> str:
        names, source = found[1].replace(" as ", ": "), found[2]
        if not source.startswith("./"):
            return f"const {{ {names} }} = {foreign.setdefault(source, f'foreign{len(foreign)}')};"
        source = source.removeprefix("./")
        if source not in done:
            _add(source, modules, done, foreign, (*importers, name))
        return f'const {{ {names} }} = modules["{source}"];'

    exports = [found[2] for found in _EXPORT.finditer(modules[name])]
    body = _EXPORT.sub(r"\1", _IMPORT.sub(take, modules[name]))
    if unknown := _UNKNOWN.search(body):
        raise ValueError(f"{name}: the bundle does not know this form: {unknown[0]}")
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
