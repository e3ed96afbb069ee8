"""The kinds of agents that a plan may name: Heddle's own, and those of installed packages.

A kind is declared as facts only, so that a plan is checked without any agent's program or library. agent_svc alone
loads its driver.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pkgutil import resolve_name
from typing import Any, Final

# Heddle's own kinds, as MODULE:NAME of an AgentKind or of a tuple of them, in the order in which people see them.
REGISTRY: Final = [
    "agent_svc.agents.scripted.kind:KIND",
    "agent_svc.agents.claude.kind:KIND",
    "agent_svc.agents.codex.kind:KIND",
    "agent_svc.agents.acp.kinds:KINDS",
    "agent_svc.agents.command.kind:KIND",
]

# Where an installed package declares its own kinds, in the same form.
ENTRY_POINT_GROUP: Final = "heddle.agents"

# The keys of a plan that only some kinds can follow.
OPTIONS: Final = ("system_prompt", "effort", "tools", "mcp_servers")


@dataclass(frozen=True)
class AgentKind:
    """What is true of every agent of one kind, on every worker."""

    # What a plan writes. With a colon at its end, the agent's own part follows it: "command:".
    name: str
    # MODULE:NAME of a callable that takes this AgentKind and returns an agent_svc.agents.base.driver.Driver.
    driver: str
    # What follows the colon, for error messages: "a shell command". Empty for a kind without a colon.
    argument: str = ""
    # How people write it, as "command:SHELL COMMAND". Empty: the name.
    form: str = ""
    # Whose limits it shares with other kinds, by any name. Empty: each agent has its own.
    provider: str = ""
    # Those of OPTIONS that it follows.
    options: tuple[str, ...] = ()
    # True: it reports what it uses after each call of its model, so that a budget can stop it.
    reports_usage_live: bool = False
    # True: max_turns of a task limits it.
    holds_max_turns: bool = False
    # True: it can resume its own session after a crash, an operator's stop or a question.
    resumes: bool = False
    # True: it receives messages of the operator while it works.
    takes_messages: bool = False
    # Names, in lower case, of files and folders of a worktree whose content it obeys, as settings and hooks.
    # Writing them needs a permission, whichever agent does it.
    obeyed: tuple[str, ...] = ()
    # Why it cannot be used, where its package is broken. Empty: it can.
    problem: str = ""

    @property
    def is_prefix(self) -> bool:
        """True where the agent's own part follows the name."""
        return self.name.endswith(":")


@cache
def kinds() -> tuple[AgentKind, ...]:
    """Returns all kinds, Heddle's own first. A package cannot replace a kind that is there already.

    What a broken package declares is a kind with a `problem`, named as its entry point. The answer is kept:
    call `kinds.cache_clear` after a change of what is installed.
    """
    found: dict[str, AgentKind] = {}
    for reference in REGISTRY:
        found.update((kind.name, kind) for kind in _declared(reference))
    for kind in _installed():
        found.setdefault(kind.name, kind)
    return tuple(found.values())


def find(agent: str) -> AgentKind | None:
    """Returns the kind of `agent`, as a plan writes it; None if there is none. Its form is not checked."""
    prefixes: list[AgentKind] = []
    for kind in kinds():
        if kind.name == agent:
            return kind
        if kind.is_prefix and agent.startswith(kind.name):
            prefixes.append(kind)
    return max(prefixes, key=lambda kind: len(kind.name), default=None)


def provider_of(agent: str) -> str:
    """Returns what agents have in common that share a provider's limits; the agent itself where it shares none."""
    kind = find(agent)
    return (kind.provider if kind else "") or agent


def problem(agent: str) -> str | None:
    """Returns what is wrong with an agent of a known kind; None if nothing is."""
    kind = find(agent)
    if kind is not None and kind.problem:
        return kind.problem
    if kind is not None and kind.is_prefix and not agent.removeprefix(kind.name).strip():
        return f'needs {kind.argument} after "{kind.name}"'
    return None


def forms() -> list[str]:
    """Returns how people write each kind; one that a kind with a colon covers is left out."""
    return [kind.form or kind.name for kind in kinds() if not _covered(kind)]


def names_with(option: str) -> list[str]:
    """Returns the names of the kinds that follow `option`; one that a kind with a colon covers is left out."""
    able = [kind for kind in kinds() if option in kind.options]
    return [kind.form or kind.name for kind in able if not any(_covers(each, kind) for each in able)]


def _covered(kind: AgentKind) -> bool:
    return any(_covers(each, kind) for each in kinds())


def _covers(prefix: AgentKind, kind: AgentKind) -> bool:
    return prefix is not kind and prefix.is_prefix and kind.name.startswith(prefix.name)


def _declared(reference: str) -> tuple[AgentKind, ...]:
    return _checked(reference, resolve_name(reference))


def _installed() -> Iterator[AgentKind]:
    for entry in metadata.entry_points(group=ENTRY_POINT_GROUP):
        try:
            yield from _checked(entry.value, entry.load())
        except Exception as error:  # noqa: BLE001 (whatever a package raises: other kinds must still work)
            package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
            why = f"{package} declares it, but {entry.value} cannot be loaded: {error!r}; repair or uninstall it"
            yield AgentKind(entry.name, driver="", problem=why)


def _checked(reference: str, found: Any) -> tuple[AgentKind, ...]:
    """Returns the kinds at `reference`; raises TypeError or ValueError where they are not valid."""
    declared = found if isinstance(found, tuple) else (found,)
    for kind in declared:
        if not isinstance(kind, AgentKind):
            raise TypeError(f"{reference} is {kind!r}, not an AgentKind")
        if not kind.name or kind.name != kind.name.strip() or (kind.is_prefix and not kind.argument):
            raise ValueError(
                f"{reference}: {kind.name!r} needs a name, and an argument if the name ends with ':'"
            )
        if unknown := set(kind.options) - set(OPTIONS):
            raise ValueError(f"{reference}: unknown options {sorted(unknown)}; use {', '.join(OPTIONS)}")
    return declared
