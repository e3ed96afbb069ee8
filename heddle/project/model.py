"""The YAML form of a project's file, as pydantic models.

A dumped model is the protobuf JSON of its message, so field names are those of
project.proto. What needs more than one field to judge is in `rules`.
"""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from heddle.plan.agent_model import Part
from heddle.plan.model import Check, Duration, ShortPart

Source = Annotated[
    Literal["checkout", "cache"], PlainSerializer(lambda value: f"LINK_SOURCE_{value.upper()}")
]

# One text, or a list of them.
Texts = Annotated[
    list[str],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class Link(ShortPart):
    """A folder in each worktree that is a link to one that all share."""

    model_config = ConfigDict(json_schema_extra={"required": ["path"]})
    short: ClassVar = {"type": "string", "description": "A folder of the checkout, relative to its top."}

    path: str = Field(default="", description="Relative to the top of the project.")
    source: Source = Field(
        default="checkout",
        description="checkout: your own folder. cache: one that Heddle keeps for the project.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value


class ProjectFile(Part):
    """What .heddle.yaml at the top of a project says about the place in which agents work."""

    model_config = ConfigDict(
        title="Heddle project",
        json_schema_extra={"$schema": "https://json-schema.org/draft/2020-12/schema"},
    )

    setup: Texts | None = Field(
        default=None,
        description="Commands that make a new worktree ready, run by /bin/sh one after the other.",
    )
    setup_timeout: Duration | None = Field(default=None, description="Of all of setup. Absent: 15m.")
    copy_: Texts | None = Field(
        default=None,
        alias="copy",
        description="Untracked files of your checkout that each worktree gets a copy of: paths or globs.",
    )
    link: list[Link] | None = Field(default=None, description="Folders that all worktrees share.")
    ports: int | None = Field(
        default=None, ge=0, le=100, description="Free ports that each epic gets for itself. Absent: 0."
    )
    env: dict[str, str] | None = Field(
        default=None, description="Variables of setup, agents, checks and teardown."
    )
    checks: list[Check] | None = Field(
        default=None, description="For tasks that list none, in plans whose defaults list none."
    )
    teardown: Texts | None = Field(default=None, description="Commands run before a worktree is removed.")


# By the key that holds them; that of "" is the whole file.
PARTS: Final[dict[str, type[BaseModel]]] = {"": ProjectFile, "link": Link, "checks": Check}
