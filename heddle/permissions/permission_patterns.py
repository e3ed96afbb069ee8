"""The patterns of `permissions:`, in the form that agents commonly use.

- `Write`: every call of that tool; `mcp__github__*` with wildcards in the name. `Edit`
  covers every tool that changes files, `Read` every tool that reads them.
- `Bash` covers every tool that runs commands, such as a monitor or a workflow.
- `Bash(git status:*)`: commands that start with these words; `Bash(npm run *)`: with
  wildcards; `Bash(make)`: only that command; `Bash(*)`: all.
- `Edit(src/**)`, `Read(*.md)`: paths relative to the worktree. `*` matches within one part of
  a path, `**` any number of parts, and a folder covers everything in it.
- `WebFetch(domain:example.com)`: that host and its subdomains.

To allow a command, every simple command in it must be covered, without redirections, substitutions and options
that write files or run programs (unless the pattern names the option). To deny one, it is enough that the pattern
covers something that the command visibly runs; what is only known at run time is asked for. A path without a
folder, such as `Read(*.pem)`, allows files at the top and denies them everywhere. Patterns guard against accidents,
not against an agent that writes a script and runs it.
"""

import glob
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from heddle import globs
from heddle.permissions import command_rules, fetched_hosts
from heddle.permissions.command_rules import PREFIX, Denial, parts

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
_DOMAIN: Final = "domain:"

__all__ = ["COMMAND_TOOLS", "Denial", "Pattern", "parts", "rule_for"]


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
        return cls(found[1], "" if argument in {"*", PREFIX} else argument)

    def allows(self, tool: str, target: str) -> bool:
        """Returns whether the pattern covers every part of this call."""
        if not self._names(tool):
            return False
        if not self.argument:
            return True
        if tool in COMMAND_TOOLS:
            return command_rules.covers(self.argument, target)
        if self.argument.startswith(_DOMAIN):
            domain = self.argument.removeprefix(_DOMAIN)
            return fetched_hosts.within(fetched_hosts.unambiguous(target), domain)
        return _covers_path(self.argument, target)

    def is_exactly(self, tool: str, target: str) -> bool:
        """Returns whether the pattern names exactly this call, even a compound command; see `rule_for`."""
        return self._names(tool) and bool(self.argument) and self.argument == glob.escape(target.strip())

    def denies(self, tool: str, target: str) -> bool:
        """Returns whether the pattern covers any part of this call."""
        return self.denial(tool, target) is Denial.YES

    def denial(self, tool: str, target: str) -> Denial:
        """Returns whether the pattern covers any part of this call; MAYBE if that is only known at run time."""
        if not self._names(tool):
            return Denial.NO
        if not self.argument:
            return Denial.YES
        if tool in COMMAND_TOOLS:
            return command_rules.denial(self.argument, target)
        if self.argument.startswith(_DOMAIN):
            domain = self.argument.removeprefix(_DOMAIN)
            hosts = fetched_hosts.possible(target)
            if any(fetched_hosts.within(host, domain) for host in hosts):
                return Denial.YES
            return Denial.NO if hosts else Denial.MAYBE
        everywhere = "" if "/" in self.argument.rstrip("/") else f"**/{self.argument}"
        covered = _covers_path(self.argument, target) or (everywhere and _covers_path(everywhere, target))
        return Denial.YES if covered else Denial.NO

    def _names(self, tool: str) -> bool:
        return fnmatchcase(tool, self.tool) or tool in _FAMILIES.get(self.tool, ())


def _covers_path(argument: str, target: str) -> bool:
    if argument.startswith("~/"):
        argument = f"{Path.home()}/{argument.removeprefix('~/')}"
    return bool(globs.pattern(argument).fullmatch(target))


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
    if tool == "WebFetch":
        host = fetched_hosts.unambiguous(target)
        if host:
            return _checked(f"{tool}({_DOMAIN}{host})")
        if fetched_hosts.possible(target):
            return ""
    return _checked(tool)


def _checked(text: str) -> str:
    try:
        return text if Pattern.parse(text).argument or "(" not in text else ""
    except ValueError:
        return ""
