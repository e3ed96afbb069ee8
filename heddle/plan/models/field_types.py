"""Types of single fields in the YAML files of plans and projects, as pydantic reads and dumps them."""

from typing import Annotated, ClassVar, Final

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from heddle.names import KEY
from heddle.plan.models.agent_model import Candidate, Part
from heddle.plan.values import durations

_INT32: Final = 2**31 - 1
_INT64: Final = 2**63 - 1
_MAX_USD: Final = 1_000_000_000


Key = Annotated[str, WithJsonSchema({"type": "string", "pattern": f"^{KEY.pattern}$"})]
Priority = Annotated[int, Field(ge=-_INT32, le=_INT32)]
Count = Annotated[int, Field(ge=0, le=_INT32)]
Turns = Annotated[int, Field(ge=1, le=_INT32)]
# Whether there are too many is checked in `review_rules`.
Rounds = Annotated[int, Field(ge=1, le=_INT32, json_schema_extra={"maximum": 10})]
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


def label_text(value: object) -> object:
    """Returns the text of a label's value as a plan file has it; another value is returned as it is."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value


# One glob, or a list of them.
Globs = Annotated[
    list[str],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
# The value of a label, which is text: true and 4 need no quotes.
Label = Annotated[
    str,
    BeforeValidator(label_text),
    WithJsonSchema({"type": ["string", "boolean", "integer"]}),
]

# A quantity of a resource, which is text: 2 and 0.5 need no quotes.
Quantity = Annotated[
    str,
    BeforeValidator(
        lambda value: (
            f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else value
        )
    ),
    WithJsonSchema({"type": ["string", "number"]}),
]


def _candidates(value: object) -> object:
    """Returns the list for a number of candidates, and any other value as it is."""
    if isinstance(value, int) and not isinstance(value, bool):
        # Whether there are too few or too many is checked in `candidate_rules`.
        return [{} for _ in range(min(max(value, 1), 100))]
    if isinstance(value, list) or value is None:
        return value
    raise ValueError("must be a number, such as 3, or a list")


# A number, or what each one has of its own.
Candidates = Annotated[
    list[Candidate], BeforeValidator(_candidates, json_schema_input_type=int | list[Candidate])
]


class ShortPart(Part):
    """A mapping with a short form: a single plain value."""

    # The JSON Schema of the short form.
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
