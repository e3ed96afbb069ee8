"""The options of an agent besides its prompt in a plan file, as pydantic models."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from heddle import agents
from heddle.plan.values.text_rules import one_of

# The valid forms of `agent`, for the published schema.
AGENTS: Final = f"{one_of(agents.forms())}."

Effort = Literal["low", "medium", "high", "xhigh", "max"]


class Part(BaseModel):
    """Any mapping of a plan file: unknown keys and loose types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Candidate(Part):
    """What one candidate has instead of the values of its task."""

    agent: str | None = Field(default=None, description=f"{AGENTS} Absent: the task's.")
    model: str | None = Field(default=None, description="The agent's name for the model. Absent: the task's.")


class McpServer(Part):
    """A server of the Model Context Protocol: a command, or the URL where it is served."""

    model_config = ConfigDict(json_schema_extra={"required": ["name"]})

    name: str = Field(default="", description="Unique within the list: letters, digits, - and _.")
    command: str | None = Field(default=None, description="The program to start as the server.")
    args: list[str] | None = Field(default=None, description="Its arguments.")
    env: dict[str, str] | None = Field(default=None, description="Added to the environment of the command.")
    url: str | None = Field(default=None, description="Instead of a command: a server reached over HTTP.")
    headers: dict[str, str] | None = Field(default=None, description="Sent with each request to the URL.")


class AgentOptions(Part):
    """What defaults and tasks set for the agent besides its model."""

    system_prompt: str | None = Field(
        default=None, description="Added to the agent's built-in system prompt."
    )
    effort: Effort | None = Field(default=None, description="How hard the model thinks.")
    tools: list[str] | None = Field(
        default=None, description="The agent's built-in tools that it may use. Absent: all."
    )
    mcp_servers: list[McpServer] | None = Field(
        default=None, description="Servers whose tools the agent may use."
    )
