"""Writes plans as YAML that `file.parse` reads back as the same message. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from heddle import pb
from heddle.plan.values import scalars

# The keys whose values are long come last.
_LAST: Final = ("script", "tasks", "epics")

# Steps of a script that a file writes as a plain value: the field with that value.
_PLAIN_STEPS: Final = {
    "say": "text",
    "think": "text",
    "run": "command",
    "screenshot": "caption",
    "ask": "question",
    "wait": "duration",
}

# Ends of lines of YAML that are none of a plan.
_BREAKS: Final = frozenset("\r\x85\u2028\u2029")

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60))


def text_of(plan: pb.Plan) -> str:
    """Returns a plan file with this plan. A time limit of its own for merge_checks has no form in a file."""
    return _dump(plain_of(plan))


def plain_of(message: Message) -> dict[str, Any]:
    """Returns the keys and values of a plan or a part of one, as a plan file has them."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        if field.name == "candidates" and not any(each.ByteSize() for each in value):
            found[field.name] = len(value)
            continue
        key = field.name.removesuffix("_micros")
        found[key] = value / 1_000_000 if key != field.name else _value(field, value)
    return dict(sorted(found.items(), key=lambda item: item[0] in _LAST))


def readable(value: object) -> str:
    """Returns a value of `plain_of` for people to read: text as it is, a list of texts by commas, or YAML."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) and "\n" not in each for each in value):
        return ", ".join(value)
    return _dump(value).removesuffix("\n...\n").rstrip("\n")


def _value(field: FieldDescriptor, value: Any) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Message):
        return _part(value)
    if field.enum_type:
        prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        known = field.enum_type.values_by_number.get(value)
        return known.name.removeprefix(prefix).lower() if known else value
    if isinstance(value, (str, int, float)):
        return value
    return [_part(each) if isinstance(each, Message) else each for each in value]


def _part(message: Message) -> object:
    write: Callable[[Any], object] = _WRITERS.get(type(message), plain_of)
    return write(message)


def _check(check: pb.Check) -> object:
    plain = plain_of(check)
    return check.run if plain == {"name": check.run, "run": check.run} else plain


def _step(step: pb.ScriptStep) -> object:
    kind = step.WhichOneof("step")
    if kind is None:
        return {}
    shared = {"from_attempt": step.from_attempt} if step.from_attempt else {}
    return {kind: _step_value(kind, getattr(step, kind)), **shared}


def _step_value(kind: str, value: Any) -> object:
    if kind == "ignore_sigterm":
        return True
    plain = _PLAIN_STEPS.get(kind, "")
    if plain and all(field.name == plain for field, _ in value.ListFields()):
        found = getattr(value, plain)
        return _duration(found) if isinstance(found, Duration) else found
    return plain_of(value)


def _duration(value: Duration) -> str:
    left, text = value.seconds, ""
    for unit, seconds in _UNITS:
        count, left = divmod(left, seconds)
        text += f"{count}{unit}" if count else ""
    fraction = f".{value.nanos:09}".rstrip("0") if value.nanos else ""
    return f"{text}{left}{fraction}s" if left or fraction or not text else text


_WRITERS: Final[Mapping[type[Message], Callable[[Any], object]]] = {
    Duration: _duration,
    pb.Check: _check,
    pb.ScriptStep: _step,
    pb.MergeChecks: lambda value: [_check(check) for check in value.checks],
}


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, and quotes text that the reader of plans would take as a number."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indents lists below their key."""
        super().increase_indent(flow, False)

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        if not _BREAKS.isdisjoint(text):
            # PyYAML writes these as they are, but reads them as the end of a line, except if they are escaped.
            style = '"'
        elif style is None and scalars.value_of(text) != text:
            style = "'"
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


def _dump(value: object) -> str:
    dumped: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100_000)
    return dumped
