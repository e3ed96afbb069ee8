"""The patterns of `permissions:`, in the form that agents commonly use.

- `Write`: every call of that tool; `mcp__github__*` with wildcards in the name. `Edit`
  covers every tool that changes files, `Read` every tool that reads them.
- `Bash` covers every tool that runs commands, such as a monitor or a workflow.
- `Bash(git status:*)`: commands that start with these words; `Bash(npm run *)`: with
  wildcards; `Bash(make)`: only that command; `Bash(*)`: all.
- `Edit(src/**)`, `Read(*.md)`: paths relative to the worktree. `*` matches within one part of
  a path, `**` any number of parts, and a folder covers everything in it.
- `WebFetch(domain:example.com)`: that host and its subdomains.

A command of several parts (`a && b`, `a | b`) is allowed only if every part is, and
denied if any part is. Patterns guard against accidents, not against an agent that
writes a script and runs it.
"""

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final
from urllib.parse import urlsplit

from heddle.plan import globs

COMMAND_TOOLS: Final = frozenset({"Bash", "Monitor", "PowerShell"})

# The additional tools that a name covers.
_FAMILIES: Final = {
    "Edit": frozenset({"Write", "MultiEdit", "NotebookEdit"}),
    "Read": frozenset({"Grep", "Glob", "LS", "NotebookRead"}),
}
# Tools whose target is code to run.
_RUN_TEXTS: Final = COMMAND_TOOLS | {"REPL", "Workflow"}
# Tools whose target is a path.
_TOUCH_FILES: Final = frozenset({*_FAMILIES, "Delete", "Move"}).union(*_FAMILIES.values())
_WILD: Final = re.compile(r"[*?]")
_PATTERN: Final = re.compile(r"([A-Za-z0-9_*.-]+)(?:\((.+)\))?", re.DOTALL)
_SEPARATORS: Final = re.compile(r"&&|\|\||[;|&\n]")
_SUBSTITUTIONS: Final = re.compile(r"[$<>]\(|`|\$\{")
_REDIRECTION: Final = re.compile(r"[<>]")
_DOMAIN: Final = "domain:"
_PREFIX: Final = ":*"


@dataclass(frozen=True)
class Pattern:
    """One pattern. Without an argument it covers every call of the tool."""

    tool: str
    argument: str

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Returns the pattern; raises ValueError with the valid forms."""
        found = _PATTERN.fullmatch(text.strip())
        if not found:
            raise ValueError(
                f"{text[:80]!r} is not a valid pattern; use a tool, such as Write, or a tool with an argument,"
                " such as Bash(git status:*) or Edit(src/**)"
            )
        argument = (found[2] or "").strip()
        return cls(found[1], "" if argument in {"*", _PREFIX} else argument)

    def allows(self, tool: str, target: str) -> bool:
        """Returns whether the pattern covers every part of this call."""
        if not self._names(tool):
            return False
        if not self.argument:
            return True
        if tool in COMMAND_TOOLS:
            return self._command(target)
        return self._target(target)

    def is_exactly(self, tool: str, target: str) -> bool:
        """Returns whether the pattern names exactly this call, even a compound command; see `rule_for`."""
        return self._names(tool) and bool(self.argument) and self.argument == glob.escape(target.strip())

    def denies(self, tool: str, target: str) -> bool:
        """Returns whether the pattern covers any part of this call."""
        if not self._names(tool):
            return False
        if not self.argument:
            return True
        if tool in COMMAND_TOOLS:
            return any(self._command(part) for part in (target, *_any_parts(target)))
        return self._target(target)

    def _names(self, tool: str) -> bool:
        return fnmatchcase(tool, self.tool) or tool in _FAMILIES.get(self.tool, ())

    def _command(self, command: str) -> bool:
        command = " ".join(command.split())
        if self.argument.endswith(_PREFIX):
            prefix = " ".join(self.argument.removesuffix(_PREFIX).split())
            return command == prefix or command.startswith(f"{prefix} ")
        return fnmatchcase(command, " ".join(self.argument.split()))

    def _target(self, target: str) -> bool:
        if self.argument.startswith(_DOMAIN):
            host = urlsplit(target).hostname or ""
            domain = self.argument.removeprefix(_DOMAIN).lower()
            return host == domain or host.endswith(f".{domain}")
        return bool(globs.pattern(self.argument).fullmatch(target))


def rule_for(tool: str, target: str) -> str:
    """Returns the narrowest useful pattern that allows such calls; empty if there is none.

    It covers the same command or file, the same host for a URL, or every call of any other tool.
    """
    target = target.strip()
    if tool in _RUN_TEXTS:
        return _checked(f"{tool}({glob.escape(target)})") if target else ""
    if tool in _TOUCH_FILES and target:
        # A path pattern cannot escape a star.
        return "" if _WILD.search(target) else _checked(f"{tool}({target})")
    host = urlsplit(target).hostname if tool == "WebFetch" else None
    return _checked(f"{tool}({_DOMAIN}{host})" if host else tool)


def _checked(text: str) -> str:
    try:
        return text if Pattern.parse(text).argument or "(" not in text else ""
    except ValueError:
        return ""


def parts(command: str) -> list[str] | None:
    """Returns the simple commands of a shell command; None if its parts cannot be determined reliably."""
    if _SUBSTITUTIONS.search(command):
        return None
    found = [part.strip() for part in _SEPARATORS.split(command)]
    if any(_REDIRECTION.search(part) for part in found):
        return None
    return [part for part in found if part]


def _any_parts(command: str) -> Iterator[str]:
    for part in re.split(r"&&|\|\||[;|&\n`(){}]", command):
        yield part.strip().lstrip("$<> ")
