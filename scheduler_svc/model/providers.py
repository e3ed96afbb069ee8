"""Which agents share a provider of models, and so its limits. Pure."""

from typing import Final

# By the agent's name in plans; every other agent is taken for a provider of its own.
_PROVIDERS: Final = {
    "claude": "anthropic",
    "acp:claude-agent-acp": "anthropic",
    "codex": "openai",
    "acp:codex-acp": "openai",
}


def provider_of(agent: str) -> str:
    """Returns what agents have in common that one limit holds."""
    return _PROVIDERS.get(agent, agent)
