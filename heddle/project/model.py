"""The YAML form of a project file, as pydantic models.

A dumped model is the protobuf JSON of its message, so field names are those of
project.proto. Checks across several fields are in `rules`.
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

from heddle.plan.models.agent_model import Part
from heddle.plan.models.field_types import Duration, Label, ShortPart
from heddle.plan.models.plan_model import Check

Source = Annotated[
    Literal["checkout", "cache"], PlainSerializer(lambda value: f"LINK_SOURCE_{value.upper()}")
]

# A string, or a list of strings.
Texts = Annotated[
    list[str],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class Link(ShortPart):
    """A link in each worktree to a folder that all worktrees share."""

    model_config = ConfigDict(json_schema_extra={"required": ["path"]})
    short: ClassVar = {"type": "string", "description": "A folder of the checkout, relative to its root."}

    path: str = Field(default="", description="Relative to the root of the project.")
    source: Source = Field(
        default="checkout",
        description="checkout: the folder of your checkout; the operator must allow it. cache: a folder that Heddle keeps for"
        " the project.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str) else value


class ProjectFile(Part):
    """The environment that agents work in: .heddle.yaml at the root of a project."""

    model_config = ConfigDict(
        title="Heddle project",
        json_schema_extra={"$schema": "https://json-schema.org/draft/2020-12/schema"},
    )

    setup: Texts | None = Field(
        default=None,
        description="Commands that prepare a new worktree, run by /bin/sh one after the other.",
    )
    setup_timeout: Duration | None = Field(
        default=None, description="Time limit of all setup commands together. Absent: 15m."
    )
    copy_: Texts | None = Field(
        default=None,
        alias="copy",
        description="Untracked files of your checkout to copy into each worktree: paths or globs.",
    )
    link: list[Link] | None = Field(default=None, description="Folders shared by all worktrees.")
    ports: int | None = Field(
        default=None, ge=0, le=100, description="Number of free ports reserved for each epic. Absent: 0."
    )
    place: dict[str, Label] | None = Field(
        default=None,
        description="Labels of the workers of all epics, unless the plan has others with the same keys. Only for runs on a"
        " URL.",
    )
    env: dict[str, str] | None = Field(
        default=None, description="Environment variables for setup, agents, checks and teardown."
    )
    checks: list[Check] | None = Field(
        default=None, description="For tasks without checks, in plans whose defaults have none."
    )
    teardown: Texts | None = Field(default=None, description="Commands run before a worktree is removed.")
    allow_files: Texts | None = Field(
        default=None,
        description="Globs of new files that tasks may commit although they would otherwise be rejected, such as .env.",
    )


# By the key that contains them; "" is the whole file.
PARTS: Final[dict[str, type[BaseModel]]] = {"": ProjectFile, "link": Link, "checks": Check}
