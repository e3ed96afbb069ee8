"""The part of a plan file that says what an agent gets beside its prompt, as pydantic models."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from heddle import agents
from heddle.plan.text_rules import one_of

# How `agent` may be written, in the published schema.
AGENTS: Final = f"{one_of(agents.forms())}."

Effort = Literal["low", "medium", "high", "xhigh", "max"]


class Part(BaseModel):
    """Any mapping of a plan file: unknown keys and loose types are mistakes."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class McpServer(Part):
    """A server of the Model Context Protocol: a command, or the URL where it is served."""

    model_config = ConfigDict(json_schema_extra={"required": ["name"]})

    name: str = Field(default="", description="Unique within the list: letters, digits, - and _.")
    command: str | None = Field(default=None, description="The program that is the server.")
    args: list[str] | None = Field(default=None, description="Its arguments.")
    env: dict[str, str] | None = Field(default=None, description="Added to its environment.")
    url: str | None = Field(default=None, description="Instead of a command: served by HTTP.")
    headers: dict[str, str] | None = Field(default=None, description="Of each request to the URL.")


class AgentOptions(Part):
    """What defaults and tasks say of the agent beside its model."""

    system_prompt: str | None = Field(default=None, description="Added to what the agent's makers tell it.")
    effort: Effort | None = Field(default=None, description="How hard the model thinks.")
    tools: list[str] | None = Field(default=None, description="The agent's own that it may see. Absent: all.")
    mcp_servers: list[McpServer] | None = Field(default=None, description="Their tools are the agent's, too.")
