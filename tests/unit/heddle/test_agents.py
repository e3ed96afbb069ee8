"""The kinds of agents that plans can name."""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from heddle import agents
from heddle.plan import rules

ROOT = Path(__file__).parents[3]
# The folders of the agents.
OWNERS = {reference.split(".")[2] for reference in agents.REGISTRY}

GOOD = agents.AgentKind("toy", driver="toy.driver:ToyDriver", provider="toys")
NO_ARGUMENT = agents.AgentKind("toy:", driver="toy.driver:ToyDriver")
BAD_OPTION = agents.AgentKind("toy", driver="toy.driver:ToyDriver", options=("colour",))
TAKEN = agents.AgentKind("scripted", driver="toy.driver:ToyDriver", provider="toys")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    agents.kinds.cache_clear()
    yield
    agents.kinds.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    entry = metadata.EntryPoint("toy", value, agents.ENTRY_POINT_GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry] if group == entry.group else [])


def test_an_installed_package_adds_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of an entry point is valid in plans, listed in error messages, and has its provider."""
    assert rules.agent_problem("toy") == (
        "'toy' is not a known agent; use scripted, claude, codex, acp:NAME or command:SHELL COMMAND"
    )
    install(monkeypatch, f"{__name__}:GOOD")
    agents.kinds.cache_clear()
    assert rules.agent_problem("toy") is None
    assert agents.provider_of("toy") == "toys"
    assert "toy" in (rules.agent_problem("unlike") or "")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (f"{__name__}:NO_ARGUMENT", "needs a name, and an argument"),
        (f"{__name__}:BAD_OPTION", "unknown options"),
        (f"{__name__}:ROOT", "not an AgentKind"),
        (f"{__name__}:MISSING", "AttributeError"),
        ("no.such.module:KIND", "ModuleNotFoundError"),
    ],
)
def test_a_broken_package_breaks_only_its_kind(value: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose declaration is missing or invalid is named with the reason; other kinds still work."""
    install(monkeypatch, value)
    problem = rules.agent_problem("toy") or ""
    assert why in problem
    assert "repair or uninstall it" in problem
    assert rules.agent_problem("claude") is None


def test_a_package_cannot_replace_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose kind has the name of a built-in kind is ignored."""
    install(monkeypatch, f"{__name__}:TAKEN")
    assert agents.provider_of("scripted") == "scripted"


@pytest.mark.parametrize(
    ("agent", "provider"),
    [
        ("claude", "anthropic"),
        ("acp:claude-agent-acp", "anthropic"),
        ("codex", "openai"),
        ("acp:codex-acp", "openai"),
        ("acp:gemini", "acp:gemini"),
        ("acp:my-agent --flag", "acp:my-agent --flag"),
        ("command:make", "command:make"),
        ("gone", "gone"),
    ],
)
def test_agents_of_one_provider_share_its_limits(agent: str, provider: str) -> None:
    """Agents with the same provider share its name; every other agent is a provider of its own."""
    assert agents.provider_of(agent) == provider


def test_vendors_are_named_only_in_their_folders() -> None:
    """No module outside of an agent's folder names a vendor, except for the lines of the registry."""
    vendor = re.compile(r"claude|codex|gemini|opencode|goose|anthropic|openai", re.IGNORECASE)
    registry = set(agents.REGISTRY)
    found: list[str] = []
    for service in ("heddle", "scheduler_svc", "worktree_svc", "agent_svc", "ui_svc"):
        for path in sorted((ROOT / service).rglob("*.py")):
            relative = path.relative_to(ROOT)
            own = relative.parts[:2] == ("agent_svc", "agents") and relative.parts[2] in OWNERS
            if own or relative.parts[:2] == ("heddle", "v1"):
                continue
            found += [
                f"{relative}: {line.strip()}"
                for line in path.read_text().splitlines()
                if vendor.search(line) and line.strip().strip('",') not in registry
            ]
    assert found == []
