"""The YAML form of a plan, as pydantic models.

A dumped model is the protobuf JSON of its message, so field names are those of
plan.proto. Checks across several fields are in `rules`.
"""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    WrapSerializer,
    model_validator,
)

from heddle.plan.models.agent_model import AGENTS, AgentOptions, Candidate, Part
from heddle.plan.models.field_types import (
    Candidates,
    Count,
    Duration,
    Globs,
    Key,
    Label,
    Priority,
    Quantity,
    Rounds,
    ShortPart,
    Turns,
    Usd,
)
from heddle.plan.models.script_model import AgentPlan, EditFile, Fail, Flood, ReportUsage, Step, WriteFile

OnFailure = Annotated[
    Literal["continue", "stop_epic", "stop_run"], PlainSerializer(lambda value: f"ON_FAILURE_{value.upper()}")
]


MergePolicy = Annotated[
    # YAML 1.1 reads an unquoted off as false, and JSON made from such YAML has false.
    Literal["auto", "manual", "off"],
    BeforeValidator(lambda value: "off" if value is False else value),
    PlainSerializer(lambda value: f"MERGE_POLICY_{value.upper()}"),
    WithJsonSchema({"enum": ["auto", "manual", "off", False]}),
]
OnConflict = Annotated[
    Literal["wait", "agent"], PlainSerializer(lambda value: f"ON_CONFLICT_{value.upper()}")
]
SyncPolicy = Annotated[
    # As in MergePolicy.
    Literal["off", "between_tasks"],
    BeforeValidator(lambda value: "off" if value is False else value),
    PlainSerializer(lambda value: f"SYNC_POLICY_{value.upper()}"),
    WithJsonSchema({"enum": ["off", "between_tasks", False]}),
]
Expect = Annotated[
    Literal["changes", "nothing", "any"], PlainSerializer(lambda value: f"EXPECT_{value.upper()}")
]
MergeStyle = Annotated[
    Literal["merge", "squash"], PlainSerializer(lambda value: f"MERGE_STYLE_{value.upper()}")
]


def _checks(value: list["Check"] | None, dump: SerializerFunctionWrapHandler) -> object:
    """Dumps a list as the message that contains it: an empty list differs from an absent one."""
    return None if value is None else {"checks": dump(value)}


ProjectConfig = Literal["mcp", "settings", "hooks"]

PermissionDecision = Annotated[
    Literal["ask", "allow", "deny"],
    PlainSerializer(lambda value: f"PERMISSION_DECISION_{value.upper()}"),
]


class Check(ShortPart):
    """A command that must pass in the worktree before a task counts as done."""

    model_config = ConfigDict(json_schema_extra={"required": ["name", "run"]})
    short: ClassVar = {"type": "string", "description": "The command, which is also the name."}

    name: str = Field(default="", description="Display name; unique within the task.")
    run: str = Field(default="", description="Run by /bin/sh in the worktree; exit code 0 passes.")
    junit: Globs | None = Field(
        default=None, description="JUnit XML reports that it writes. Absent: any .xml file."
    )
    coverage: Globs | None = Field(default=None, description="Cobertura XML reports that it writes.")
    sarif: Globs | None = Field(default=None, description="SARIF reports that it writes.")

    @model_validator(mode="before")
    @classmethod
    def _from_command(cls, value: object) -> object:
        return {"name": value, "run": value} if isinstance(value, str) else value


def _budget(description: str) -> Usd | None:
    """Returns the field for the total cost limit of a part of the plan."""
    field: Usd | None = Field(
        default=None, gt=0, serialization_alias="budget_usd_micros", description=description
    )
    return field


class Permissions(Part):
    """What agents may do without asking. Checked in order: deny, allow, what is always allowed, default."""

    default: PermissionDecision | None = Field(
        default=None, description="For tool calls that no pattern matches. Absent: ask."
    )
    allow: list[str] | None = Field(
        default=None, description="Patterns such as Write, Bash(git status:*) or Edit(src/**)."
    )
    deny: list[str] | None = Field(
        default=None, description="Patterns; they take precedence over all others."
    )
    wait: Duration | None = Field(
        default=None, description="How long a question waits for an answer before it is denied. Absent: 30m."
    )
    project_config: list[ProjectConfig] | None = Field(
        default=None, description="What the repository may configure for the agent. Absent: nothing."
    )


class Defaults(AgentOptions):
    """Values for tasks and epics that do not set their own."""

    agent: str | None = Field(default=None, description=f"{AGENTS} Absent: scripted.")
    retries: Count | None = Field(default=None, description="Additional attempts after a failure. Absent: 0.")
    timeout: Duration | None = Field(default=None, description="Time limit of a session. Absent: no limit.")
    silence: Duration | None = Field(
        default=None,
        description="An agent without any activity for this long is stopped. Absent: no limit.",
    )
    background_wait: Duration | None = Field(
        default=None,
        description="How long a session waits for background tasks of its agent. Absent: 5m.",
    )
    checks: list[Check] | None = Field(
        default=None, description="For tasks that have no checks of their own."
    )
    on_failure: OnFailure | None = Field(
        default=None, description="For epics without their own. Absent: continue."
    )
    merge: MergePolicy | None = Field(default=None, description="For epics without their own. Absent: auto.")
    on_conflict: OnConflict | None = Field(
        default=None, description="For epics without their own. Absent: wait."
    )
    permissions: Permissions | None = Field(default=None, description="What agents may do without asking.")
    model: str | None = Field(
        default=None, description="The agent's name for the model. Absent: the agent's choice."
    )
    max_turns: Turns | None = Field(
        default=None, description="Maximum turns of the agent per session. Absent: no limit."
    )
    expect: Expect | None = Field(
        default=None, description="For tasks without their own. Absent: any, and empty changes are reported."
    )
    allow_files: Globs | None = Field(
        default=None,
        description="New files to commit that would otherwise be rejected, such as .env or large files.",
    )


class Review(Part):
    """A review of a task's work by another agent, after its checks and before it is accepted."""

    model_config = ConfigDict(json_schema_extra={"required": ["agent"]})

    agent: str = Field(default="", description=f"The reviewer: {AGENTS}")
    prompt: str | None = Field(default=None, description="What to look for, besides the task itself.")
    blocking: bool | None = Field(
        default=None,
        description="false: findings are only shown. Absent: errors go back to the task's agent.",
    )
    rounds: Rounds | None = Field(
        default=None, description="Reviews of one task's work, from 1 to 10, before it fails. Absent: 2."
    )
    model: str | None = Field(default=None, description="The reviewer's name for the model.")


class Choice(Part):
    """An agent that compares the candidates of a task, and chooses one of them."""

    model_config = ConfigDict(json_schema_extra={"required": ["agent"]})

    agent: str = Field(default="", description=f"Compares the candidates: {AGENTS}")
    prompt: str | None = Field(default=None, description="What matters, besides the task itself.")
    model: str | None = Field(default=None, description="Its name for the model.")


class Task(AgentOptions):
    """One unit of work in an epic."""

    model_config = ConfigDict(
        json_schema_extra={
            "required": ["key"],
            "anyOf": [{"required": ["prompt"]}, {"required": ["script"]}],
        }
    )

    key: Key = Field(default="", description="Unique within the epic: letters, digits, - and _.")
    title: str | None = Field(default=None, description="Display name. Absent: the key.")
    prompt: str | None = Field(default=None, description="The instructions for the agent.")
    priority: Priority | None = Field(default=None, description="Lower runs earlier. Absent: 999.")
    estimate: Duration | None = Field(default=None, description="The expected duration.")
    needs: list[str] | None = Field(
        default=None, description="Tasks of other epics, as EPIC/TASK, that must be accepted first."
    )
    source: str | None = Field(
        default=None, description="Where the work is described, such as docs/search.md#Ranking, or a URL."
    )
    agent: str | None = Field(default=None, description=AGENTS)
    checks: list[Check] | None = Field(
        default=None, description="All must pass before the task counts as done."
    )
    reviews: list[Review] | None = Field(
        default=None, description="Other agents review its work, in this order, before it is accepted."
    )
    candidates: Candidates | None = Field(
        default=None,
        description="From 2 to 9 attempts at the same time, of which one is accepted: their number, or a list.",
    )
    score: str | None = Field(
        default=None,
        description="Prints a number for each candidate; the highest one wins. Absent: a person chooses.",
    )
    choose: Choice | None = Field(
        default=None,
        description="An agent that compares the candidates that passed. Absent: the score, or a person, decides.",
    )
    timeout: Duration | None = Field(default=None, description="Time limit of a session, checks included.")
    silence: Duration | None = Field(
        default=None, description="The agent is stopped after this long without any activity."
    )
    background_wait: Duration | None = Field(
        default=None, description="How long the session waits for background tasks of the agent."
    )
    retries: Count | None = Field(default=None, description="Additional attempts after a failure.")
    permissions: Permissions | None = Field(
        default=None, description="In addition to those of the epic and the defaults."
    )
    model: str | None = Field(default=None, description="The agent's name for the model.")
    max_turns: Turns | None = Field(default=None, description="Maximum turns of the agent per session.")
    expect: Expect | None = Field(
        default=None,
        description="changes: an empty change fails; nothing: a change fails; any: both are accepted.",
    )
    allow_files: Globs | None = Field(default=None, description="In addition to those of the defaults.")
    budget_usd: Usd | None = _budget(
        "For all attempts together, in US dollars. Absent: only the epic's limit."
    )
    script: list[Step] | None = Field(default=None, description="The steps of the scripted agent.")


class Epic(Part):
    """A stream of work in one code area: one branch, one worktree, its tasks one after the other."""

    model_config = ConfigDict(json_schema_extra={"required": ["key", "tasks"]})

    key: Key = Field(default="", description="Unique within the plan: letters, digits, - and _.")
    title: str | None = Field(default=None, description="Display name. Absent: the key.")
    priority: Priority | None = Field(default=None, description="Lower starts earlier. Absent: 999.")
    depends_on: list[Key] | None = Field(
        default=None, description="Epics that must be merged before this one starts."
    )
    touches: list[str] | None = Field(
        default=None, description="Globs of the paths that the epic will write."
    )
    place: dict[str, Label] | None = Field(
        default=None, description="Labels of the worker on which it runs. Only for projects by URL."
    )
    resources: dict[str, Quantity] | None = Field(
        default=None,
        description="What its pod requests: cpu, memory, … in quantities of Kubernetes. Ignored without pods.",
    )
    on_failure: OnFailure | None = Field(default=None, description="What happens after a task fails.")
    merge: MergePolicy | None = Field(
        default=None,
        description="auto: when it is done; manual: when you ask for it; off: its branch stays unmerged.",
    )
    on_conflict: OnConflict | None = Field(
        default=None, description="wait: you resolve a conflict; agent: the agent of the last task does."
    )
    permissions: Permissions | None = Field(default=None, description="In addition to those of the defaults.")
    budget_usd: Usd | None = _budget("For all tasks together, in US dollars. Absent: only the run's limit.")
    reviews: list[Review] | None = Field(
        default=None, description="For each of its tasks that has no reviews of its own."
    )
    sync: SyncPolicy | None = Field(default=None, description="Absent: that of the plan.")
    tasks: list[Task] = Field(default=[], json_schema_extra={"minItems": 1})


class Input(Part):
    """A parameter of a plan, which `${{ inputs.NAME }}` inserts."""

    description: str | None = Field(default=None, description="For people.")
    type: Literal["string", "number", "boolean", "choice"] | None = Field(
        default=None, description="Absent: string."
    )
    required: bool | None = Field(default=None, description="true: it must be given unless it has a default.")
    default: str | float | bool | None = Field(default=None, description="Its value if none is given.")
    options: list[str | float | bool] | None = Field(default=None, description="The values of a choice.")


class PlanFile(Part):
    """A plan: epics in parallel, each with tasks in order."""

    model_config = ConfigDict(
        title="Heddle plan",
        json_schema_extra={
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "required": ["name", "epics"],
        },
    )

    name: str = Field(default="", description="Display name, and the stem of the run's id.")
    # Filled in before the rest is read.
    inputs: dict[str, Input | None] | None = Field(
        default=None, exclude=True, description="Parameters, by name; given with --input NAME=VALUE."
    )
    budget_usd: Usd | None = _budget("For one run, in US dollars. Absent: no limit.")
    merge_into: str | None = Field(
        default=None, description="Your branch to update once everything is merged. Absent: none."
    )
    merge_style: MergeStyle | None = Field(
        default=None,
        description="squash: each merge is a single commit without the branch's history. Absent: merge.",
    )
    merge_checks: Annotated[list[Check] | None, WrapSerializer(_checks)] = Field(
        default=None, description="All must pass on the merged tree. Absent: the checks of the defaults."
    )
    sync: SyncPolicy | None = Field(
        default=None,
        description="between_tasks: epics take in new commits of the project's branch. Absent: off.",
    )
    place: dict[str, Label] | None = Field(
        default=None, description="Labels of the workers of all epics. Only for projects by URL."
    )
    resources: dict[str, Quantity] | None = Field(
        default=None, description="For each epic, in addition to its own: cpu, memory, …"
    )
    defaults: Defaults | None = None
    epics: list[Epic] = Field(default=[], json_schema_extra={"minItems": 1})


# By the key that contains them; "" is the whole file.
PARTS: Final[dict[str, type[Part]]] = {
    "": PlanFile,
    "defaults": Defaults,
    "permissions": Permissions,
    "epics": Epic,
    "tasks": Task,
    "checks": Check,
    "merge_checks": Check,
    "reviews": Review,
    "candidates": Candidate,
    "choose": Choice,
    "script": Step,
    "write": WriteFile,
    "edit": EditFile,
    "usage": ReportUsage,
    "fail": Fail,
    "flood": Flood,
    "plan": AgentPlan,
}
