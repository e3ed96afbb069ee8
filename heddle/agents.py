"""The kinds of agents that a plan can name: built-in kinds and kinds from installed packages.

A kind is plain data, so checking a plan needs no agent program or library. Only agent_svc loads the driver.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pkgutil import resolve_name
from typing import Any, Final

# The built-in kinds, as MODULE:NAME of an AgentKind or of a tuple of AgentKinds, in display order.
REGISTRY: Final = [
    "agent_svc.agents.scripted.kind:KIND",
    "agent_svc.agents.claude.kind:KIND",
    "agent_svc.agents.codex.kind:KIND",
    "agent_svc.agents.acp.kinds:KINDS",
    "agent_svc.agents.command.kind:KIND",
]

# The entry point group in which an installed package declares its kinds, in the same form.
ENTRY_POINT_GROUP: Final = "heddle.agents"

# The plan keys that only some kinds support.
OPTIONS: Final = ("system_prompt", "effort", "tools", "mcp_servers")

# What permissions.project_config of a plan can name: the parts of a repository that configure its agents.
PROJECT_CONFIG: Final = ("mcp", "settings", "hooks")


@dataclass(frozen=True)
class AgentKind:
    """The properties that all agents of one kind have, on every worker."""

    # The name in a plan. If it ends with a colon, as in "command:", an argument follows.
    name: str
    # MODULE:NAME of a callable that takes this AgentKind and returns an agent_svc.agents.base.driver.Driver.
    driver: str
    # The argument, as error messages name it: "a shell command". Empty for a kind without a colon.
    argument: str = ""
    # The form shown to users, such as "command:SHELL COMMAND". Empty: the name.
    form: str = ""
    # Kinds with the same provider share its limits. Any string is valid. Empty: each agent has its own limits.
    provider: str = ""
    # The OPTIONS that it supports.
    options: tuple[str, ...] = ()
    # True: it reports its usage after each model call, so a budget can stop it.
    reports_usage_live: bool = False
    # True: it respects the max_turns of a task.
    holds_max_turns: bool = False
    # True: it can resume its own session after a crash, an operator's stop or a question.
    resumes: bool = False
    # True: it receives messages from the operator while it works.
    takes_messages: bool = False
    # Lower-case names of worktree files and folders that configure it, such as settings and hooks.
    # Writing them requires permission, for every agent.
    obeyed: tuple[str, ...] = ()
    # The names of PROJECT_CONFIG that have an effect on it. It ignores the others.
    project_config: tuple[str, ...] = ()
    # The reason why its package is broken. Empty: the kind can be used.
    problem: str = ""

    @property
    def is_prefix(self) -> bool:
        """Whether an argument follows the name."""
        return self.name.endswith(":")


@cache
def kinds() -> tuple[AgentKind, ...]:
    """Returns all kinds, built-in kinds first. A package cannot replace an existing kind.

    A broken package yields a kind with a `problem`, named after its entry point. The result is cached:
    call `kinds.cache_clear` after installing or removing a package.
    """
    found: dict[str, AgentKind] = {}
    for reference in REGISTRY:
        found.update((kind.name, kind) for kind in _declared(reference))
    for kind in _installed():
        found.setdefault(kind.name, kind)
    return tuple(found.values())


def find(agent: str) -> AgentKind | None:
    """Returns the kind of `agent`, as named in a plan, or None. Does not check the argument."""
    prefixes: list[AgentKind] = []
    for kind in kinds():
        if kind.name == agent:
            return kind
        if kind.is_prefix and agent.startswith(kind.name):
            prefixes.append(kind)
    return max(prefixes, key=lambda kind: len(kind.name), default=None)


def provider_of(agent: str) -> str:
    """Returns the provider whose limits the agent shares, or the agent itself if it shares none."""
    kind = find(agent)
    return (kind.provider if kind else "") or agent


def problem(agent: str) -> str | None:
    """Returns why an agent of a known kind cannot be used, or None."""
    kind = find(agent)
    if kind is not None and kind.problem:
        return kind.problem
    if kind is not None and kind.is_prefix and not agent.removeprefix(kind.name).strip():
        return f'needs {kind.argument} after "{kind.name}"'
    return None


def forms() -> list[str]:
    """Returns the display form of each kind, except kinds that a kind with a colon covers."""
    return [kind.form or kind.name for kind in kinds() if not _covered(kind)]


def names_with(option: str) -> list[str]:
    """Returns the display forms of kinds that support `option`; omits those that a colon kind covers."""
    able = [kind for kind in kinds() if option in kind.options]
    return [kind.form or kind.name for kind in able if not any(_covers(each, kind) for each in able)]


def _covered(kind: AgentKind) -> bool:
    return any(_covers(each, kind) for each in kinds())


def _covers(prefix: AgentKind, kind: AgentKind) -> bool:
    return prefix is not kind and prefix.is_prefix and kind.name.startswith(prefix.name)


def _declared(reference: str) -> tuple[AgentKind, ...]:
    return _checked(reference, resolve_name(reference))


def _installed() -> Iterator[AgentKind]:
    from importlib import metadata  # noqa: PLC0415 (slow to import, and most commands need no kinds)

    for entry in metadata.entry_points(group=ENTRY_POINT_GROUP):
        try:
            yield from _checked(entry.value, entry.load())
        except Exception as error:  # noqa: BLE001 (whatever a package raises: other kinds must still work)
            package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
            why = f"{package} declares it, but {entry.value} cannot be loaded: {error!r}; repair or uninstall it"
            yield AgentKind(entry.name, driver="", problem=why)


def _checked(reference: str, found: Any) -> tuple[AgentKind, ...]:
    """Returns the kinds at `reference`; raises TypeError or ValueError if they are invalid."""
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
