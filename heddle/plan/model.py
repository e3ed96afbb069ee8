"""The YAML form of a plan, as pydantic models: what a file may say.

A dumped model is the protobuf JSON of its message, so field names are those of
plan.proto. What needs more than one field to judge is in `rules`.
"""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    WrapSerializer,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from heddle.names import KEY
from heddle.plan import durations
from heddle.plan.agent_model import AGENTS, AgentOptions, Part

_INT32: Final = 2**31 - 1
_INT64: Final = 2**63 - 1
_MAX_USD: Final = 1_000_000_000


def _message(field: str) -> PlainSerializer:
    """Dumps a plain value as the message that holds it in `field`."""
    return PlainSerializer(lambda value: {field: value})


Key = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{KEY.pattern}$"})]
Priority = Annotated[int, Field(ge=-_INT32, le=_INT32)]
Count = Annotated[int, Field(ge=0, le=_INT32)]
Turns = Annotated[int, Field(ge=1, le=_INT32)]
Tokens = Annotated[int, Field(ge=0, le=_INT64)]
Duration = Annotated[
    float,
    BeforeValidator(durations.seconds),
    PlainSerializer(lambda seconds: f"{seconds:.9f}s"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": durations.PATTERN},
                {"type": "number", "exclusiveMinimum": 0},
            ],
            "description": f"A length of time: {durations.FORM}.",
        }
    ),
]
Usd = Annotated[
    float, Field(le=_MAX_USD), PlainSerializer(lambda usd: round(usd * 1_000_000), return_type=int)
]
OnFailure = Annotated[
    Literal["continue", "stop_epic", "stop_run"], PlainSerializer(lambda value: f"ON_FAILURE_{value.upper()}")
]


MergePolicy = Annotated[
    # Older readers of YAML make false of a plain off, and JSON written by them has that.
    Literal["auto", "manual", "off"],
    BeforeValidator(lambda value: "off" if value is False else value),
    PlainSerializer(lambda value: f"MERGE_POLICY_{value.upper()}"),
    WithJsonSchema({"enum": ["auto", "manual", "off", False]}),
]
OnConflict = Annotated[
    Literal["wait", "agent"], PlainSerializer(lambda value: f"ON_CONFLICT_{value.upper()}")
]
Expect = Annotated[
    Literal["changes", "nothing", "any"], PlainSerializer(lambda value: f"EXPECT_{value.upper()}")
]
MergeStyle = Annotated[
    Literal["merge", "squash"], PlainSerializer(lambda value: f"MERGE_STYLE_{value.upper()}")
]


def _checks(value: list["Check"] | None, dump: SerializerFunctionWrapHandler) -> object:
    """Dumps a list as the message that holds it: an empty one is not an absent one."""
    return None if value is None else {"checks": dump(value)}


PermissionDecision = Annotated[
    Literal["ask", "allow", "deny"],
    PlainSerializer(lambda value: f"PERMISSION_DECISION_{value.upper()}"),
]


# One glob, or a list of them.
Globs = Annotated[
    list[str],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class ShortPart(Part):
    """A mapping that may also be written as one plain value."""

    # The plain value's JSON Schema.
    short: ClassVar[JsonSchemaValue]

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        reference = handler(core_schema)
        definition = handler.resolve_ref_schema(reference)
        full = dict(definition)
        definition.clear()
        definition.update(anyOf=[cls.short, full])
        return reference


class Check(ShortPart):
    """A command that must pass in the worktree before a task counts as done."""

    model_config = ConfigDict(json_schema_extra={"required": ["name", "run"]})
    short: ClassVar = {"type": "string", "description": "The command, which is its own name."}

    name: str = Field(default="", description="Shown to people; unique within the task.")
    run: str = Field(default="", description="Run by /bin/sh in the worktree; exit code 0 passes.")
    junit: Globs | None = Field(default=None, description="JUnit XML that it writes. Absent: any .xml file.")
    coverage: Globs | None = Field(default=None, description="Cobertura XML that it writes.")
    sarif: Globs | None = Field(default=None, description="SARIF that it writes.")

    @model_validator(mode="before")
    @classmethod
    def _from_command(cls, value: object) -> object:
        return {"name": value, "run": value} if isinstance(value, str) else value


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
    """Reports tokens and money as a model's provider would."""

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
    attempts: Count = Field(
        default=0, description="Fails only in the first so many attempts. Absent: always."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_message(cls, value: object) -> object:
        return {"message": value} if isinstance(value, str) else value


class Flood(ShortPart):
    """Writes lines of output as fast as it can."""

    model_config = ConfigDict(json_schema_extra={"required": ["lines"]})
    short: ClassVar = {"type": "integer", "minimum": 1, "description": "The number of lines."}

    lines: Count = 0
    width: Count = Field(default=0, description="Bytes a line. Absent: 80.")

    @model_validator(mode="before")
    @classmethod
    def _from_lines(cls, value: object) -> object:
        return {"lines": value} if isinstance(value, int) else value


class AgentPlan(Part):
    """Tells what the agent plans to do, and how far it is."""

    model_config = ConfigDict(json_schema_extra={"required": ["steps"]})

    steps: list[str] = Field(default=[], json_schema_extra={"minItems": 1})
    done: Count = Field(default=0, description="So many steps are done; the next one is in progress.")


class Step(Part):
    """One step of the scripted agent: exactly one of these keys."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    say: Annotated[str, _message("text")] | None = None
    think: Annotated[str, _message("text")] | None = None
    write: WriteFile | None = None
    edit: EditFile | None = None
    run: Annotated[str, _message("command")] | None = None
    screenshot: Annotated[str, _message("caption")] | None = None
    usage: ReportUsage | None = None
    ask: Annotated[str, _message("question")] | None = None
    wait: Annotated[Duration, PlainSerializer(lambda value: {"duration": f"{value:.9f}s"})] | None = None
    fail: Fail | None = None
    flood: Flood | None = None
    plan: AgentPlan | None = None
    ignore_sigterm: Annotated[Literal[True], PlainSerializer(lambda _: {})] | None = None

    @model_validator(mode="after")
    def _has_one(self) -> "Step":
        named = sorted(self.model_fields_set)
        if len(named) > 1:
            raise ValueError(
                f"is one step, but names {len(named)}: {', '.join(named)}; begin each with a dash"
            )
        return self


def _budget(description: str) -> Usd | None:
    """Returns the field for what all below may cost together."""
    field: Usd | None = Field(
        default=None, gt=0, serialization_alias="budget_usd_micros", description=description
    )
    return field


class Permissions(Part):
    """What agents may do without asking: deny, allow, what is always allowed, default, in this order."""

    default: PermissionDecision | None = Field(
        default=None, description="For what no pattern names. Absent: ask."
    )
    allow: list[str] | None = Field(
        default=None, description="Patterns, as Write, Bash(git status:*) or Edit(src/**)."
    )
    deny: list[str] | None = Field(default=None, description="Patterns; they win over all others.")
    wait: Duration | None = Field(
        default=None, description="After which a question counts as denied. Absent: 30m."
    )


class Defaults(AgentOptions):
    """What a task takes where it says nothing itself."""

    agent: str | None = Field(default=None, description=f"{AGENTS} Absent: scripted.")
    retries: Count | None = Field(default=None, description="More attempts after a failure. Absent: 0.")
    timeout: Duration | None = Field(default=None, description="Of a session. Absent: no limit.")
    silence: Duration | None = Field(
        default=None,
        description="An agent that says and does nothing for so long is stopped. Absent: no limit.",
    )
    background_wait: Duration | None = Field(
        default=None,
        description="How long a session waits for what its agent left in the background. Absent: 5m.",
    )
    checks: list[Check] | None = Field(default=None, description="For tasks that list none of their own.")
    on_failure: OnFailure | None = Field(
        default=None, description="For epics that say nothing. Absent: continue."
    )
    merge: MergePolicy | None = Field(default=None, description="For epics that say nothing. Absent: auto.")
    on_conflict: OnConflict | None = Field(
        default=None, description="For epics that say nothing. Absent: wait."
    )
    permissions: Permissions | None = Field(default=None, description="What agents may do without asking.")
    model: str | None = Field(default=None, description="As the agent names it. Absent: the agent's choice.")
    max_turns: Turns | None = Field(default=None, description="Of the agent in a session. Absent: no limit.")
    expect: Expect | None = Field(
        default=None, description="For tasks that say nothing. Absent: any, and empty changes are reported."
    )
    allow_files: Globs | None = Field(
        default=None, description="New files to commit that would be refused, as .env or large ones."
    )


class Task(AgentOptions):
    """One unit of work in an epic."""

    model_config = ConfigDict(
        json_schema_extra={
            "required": ["key"],
            "anyOf": [{"required": ["prompt"]}, {"required": ["script"]}],
        }
    )

    key: Key = Field(default="", description="Unique within the epic: letters, digits, - and _.")
    title: str | None = Field(default=None, description="Shown to people. Absent: the key.")
    prompt: str | None = Field(default=None, description="What the agent is told.")
    priority: Priority | None = Field(default=None, description="Lower runs earlier. Absent: 999.")
    estimate: Duration | None = Field(default=None, description="How long you expect it to take.")
    agent: str | None = Field(default=None, description=AGENTS)
    checks: list[Check] | None = Field(
        default=None, description="All must pass before the task counts as done."
    )
    timeout: Duration | None = Field(default=None, description="Of a session, checks included.")
    silence: Duration | None = Field(
        default=None, description="Its agent is stopped after so long without a word."
    )
    background_wait: Duration | None = Field(
        default=None, description="How long its session waits for what its agent left in the background."
    )
    retries: Count | None = Field(default=None, description="More attempts after a failure.")
    permissions: Permissions | None = Field(default=None, description="Beside those of epic and defaults.")
    model: str | None = Field(default=None, description="As the agent names it.")
    max_turns: Turns | None = Field(default=None, description="Of the agent in a session.")
    expect: Expect | None = Field(
        default=None,
        description="changes: an empty change fails; nothing: a change fails; any: both are accepted.",
    )
    allow_files: Globs | None = Field(default=None, description="Together with those of the defaults.")
    budget_usd: Usd | None = _budget("Of all its attempts, in US dollars. Absent: no limit but the epic's.")
    script: list[Step] | None = Field(default=None, description="What the scripted agent plays.")


class Epic(Part):
    """A stream of work in one code area: one branch, one worktree, its tasks one after the other."""

    model_config = ConfigDict(json_schema_extra={"required": ["key", "tasks"]})

    key: Key = Field(default="", description="Unique within the plan: letters, digits, - and _.")
    title: str | None = Field(default=None, description="Shown to people. Absent: the key.")
    priority: Priority | None = Field(default=None, description="Lower starts earlier. Absent: 999.")
    depends_on: list[Key] | None = Field(default=None, description="Epics that must be merged before.")
    touches: list[str] | None = Field(default=None, description="Globs of the paths that it will write.")
    on_failure: OnFailure | None = Field(default=None, description="What a failed task means.")
    merge: MergePolicy | None = Field(
        default=None, description="auto; manual: once you say so; off: its branch stays unmerged."
    )
    on_conflict: OnConflict | None = Field(
        default=None, description="wait for you; agent: its last task's agent resolves a conflict."
    )
    permissions: Permissions | None = Field(default=None, description="Beside those of the defaults.")
    budget_usd: Usd | None = _budget("Of all its tasks, in US dollars. Absent: no limit but the run's.")
    tasks: list[Task] = Field(default=[], json_schema_extra={"minItems": 1})


class PlanFile(Part):
    """A plan: epics in parallel, each with tasks in order."""

    model_config = ConfigDict(
        title="Heddle plan",
        json_schema_extra={
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "required": ["name", "epics"],
        },
    )

    name: str = Field(default="", description="Shown to people, and the stem of the run's id.")
    budget_usd: Usd | None = _budget("Of a run of it, in US dollars. Absent: no limit.")
    merge_into: str | None = Field(
        default=None, description="Your branch to move once everything is merged. Absent: none."
    )
    merge_style: MergeStyle | None = Field(
        default=None, description="squash: each merge is one commit without the branch's own. Absent: merge."
    )
    merge_checks: Annotated[list[Check] | None, WrapSerializer(_checks)] = Field(
        default=None, description="All must pass on a merged tree. Absent: the checks of the defaults."
    )
    defaults: Defaults | None = None
    epics: list[Epic] = Field(default=[], json_schema_extra={"minItems": 1})


# By the key that holds them; PlanFile is the whole file.
PARTS: Final[dict[str, type[Part]]] = {
    "": PlanFile,
    "defaults": Defaults,
    "permissions": Permissions,
    "epics": Epic,
    "tasks": Task,
    "checks": Check,
    "merge_checks": Check,
    "script": Step,
    "write": WriteFile,
    "edit": EditFile,
    "usage": ReportUsage,
    "fail": Fail,
    "flood": Flood,
    "plan": AgentPlan,
}
