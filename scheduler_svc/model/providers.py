"""Which agents share a provider of models, and so its limits. Pure."""

from typing import Final

# By the agent's name in plans; every other agent counts as its own provider.
_PROVIDERS: Final = {
    "claude": "anthropic",
    "acp:claude-agent-acp": "anthropic",
    "codex": "openai",
    "acp:codex-acp": "openai",
}


def provider_of(agent: str) -> str:
    """Returns the provider of an agent: agents of one provider share its limits."""
    return _PROVIDERS.get(agent, agent)
