"""The steps of the scripted agent in a plan file, as pydantic models."""

from typing import Annotated, ClassVar, Final, Literal, cast

from pydantic import ConfigDict, Field, PlainSerializer, model_validator
from pydantic.config import JsonDict

from heddle.plan.models.agent_model import Part
from heddle.plan.models.field_types import Count, Duration, ShortPart, Tokens, Usd


def _message(field: str) -> PlainSerializer:
    """Dumps a plain value as a message with the value in `field`."""
    return PlainSerializer(lambda value: {field: value})


class WriteFile(Part):
    """Creates or overwrites a file."""

    model_config = ConfigDict(json_schema_extra={"required": ["path", "text"]})

    path: str = Field(default="", description="Relative to the worktree.")
    text: str = ""


class EditFile(Part):
    """Replaces the first occurrence of a text in a file."""

    model_config = ConfigDict(json_schema_extra={"required": ["path", "find", "replace"]})

    path: str = Field(default="", description="Relative to the worktree.")
    find: str = ""
    replace: str = ""


class ReportUsage(Part):
    """Reports token usage and cost as a model's provider would."""

    model_config = ConfigDict(json_schema_extra={"required": ["model"]})

    model: str = ""
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_read_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    cost_usd: Usd | None = Field(
        default=None, ge=0, serialization_alias="cost_usd_micros", description="Absent: unknown."
    )


class Fail(ShortPart):
    """Ends the session as failed."""

    short: ClassVar = {"type": "string", "description": "The message."}

    message: str = ""
    attempts: Count = Field(default=0, description="Fails only in the first N attempts. Absent: always.")

    @model_validator(mode="before")
    @classmethod
    def _from_message(cls, value: object) -> object:
        return {"message": value} if isinstance(value, str) else value


class Ask(ShortPart):
    """Asks the operator and waits for the answer."""

    model_config = ConfigDict(json_schema_extra={"required": ["question"]})
    short: ClassVar = {"type": "string", "description": "The question."}

    question: str = ""
    if_denied: str = Field(
        default="", description="What the agent says before it continues. Absent: a denial fails the session."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_question(cls, value: object) -> object:
        return {"question": value} if isinstance(value, str) else value


class Flood(ShortPart):
    """Writes lines of output as fast as it can."""

    model_config = ConfigDict(json_schema_extra={"required": ["lines"]})
    short: ClassVar = {"type": "integer", "minimum": 1, "description": "The number of lines."}

    lines: Count = 0
    width: Count = Field(default=0, description="Bytes per line. Absent: 80.")

    @model_validator(mode="before")
    @classmethod
    def _from_lines(cls, value: object) -> object:
        return {"lines": value} if isinstance(value, int) else value


class AgentPlan(Part):
    """Reports the steps that the agent plans, and its progress."""

    model_config = ConfigDict(json_schema_extra={"required": ["steps"]})

    steps: list[str] = Field(default=[], json_schema_extra={"minItems": 1})
    done: Count = Field(default=0, description="The number of finished steps; the next one is in progress.")


# Keys that every step may have in addition to its own.
_SHARED: Final = frozenset({"from_attempt"})


def _one_of(schema: JsonDict) -> None:
    """Requires exactly one key that names a step."""
    names = [name for name in cast(JsonDict, schema["properties"]) if name not in _SHARED]
    schema["oneOf"] = [{"required": [name]} for name in names]


class Step(Part):
    """One step of the scripted agent: exactly one of these keys, and optionally `from_attempt`."""

    model_config = ConfigDict(json_schema_extra=_one_of)

    say: Annotated[str, _message("text")] | None = None
    think: Annotated[str, _message("text")] | None = None
    write: WriteFile | None = None
    edit: EditFile | None = None
    run: Annotated[str, _message("command")] | None = None
    screenshot: Annotated[str, _message("caption")] | None = None
    usage: ReportUsage | None = None
    ask: Ask | None = None
    wait: Annotated[Duration, PlainSerializer(lambda value: {"duration": f"{value:.9f}s"})] | None = None
    fail: Fail | None = None
    flood: Flood | None = None
    plan: AgentPlan | None = None
    ignore_sigterm: Annotated[Literal[True], PlainSerializer(lambda _: {})] | None = None
    from_attempt: Count | None = Field(
        default=None, description="Skipped in earlier attempts. Absent: played in every attempt."
    )

    @model_validator(mode="after")
    def _has_one(self) -> "Step":
        named = sorted(self.model_fields_set - _SHARED)
        if len(named) > 1:
            raise ValueError(
                f"has {len(named)} keys ({', '.join(named)}), but a step takes one; start each step with a dash"
            )
        return self
