"""Converts parts of messages to plain values: times, money, counts and enum names."""

from typing import Any, TypeAlias

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from heddle import pb

View: TypeAlias = dict[str, Any]


def usage(message: pb.UsageTotals) -> View:
    """Returns tokens and money; `cost_incomplete`: a price is unknown, `cost_estimated`: the estimated part."""
    view: View = {
        "input": message.input_tokens,
        "output": message.output_tokens,
        "cache_read": message.cache_read_tokens,
        "cache_write": message.cache_write_tokens,
        "cost": message.cost_usd_micros,
        "cost_incomplete": message.cost_incomplete,
        "cost_estimated": message.estimated_usd_micros,
    }
    if message.models:
        view["models"] = [{"model": each.model, **usage(each.usage)} for each in message.models]
    return view


def counts(message: pb.TaskCounts) -> View:
    """Returns the number of tasks in each state."""
    return {field.name: getattr(message, field.name) for field in pb.TaskCounts.DESCRIPTOR.fields}


def diff_stat(message: pb.DiffStat) -> View:
    """Returns the size of a change."""
    return {"files": message.files, "insertions": message.insertions, "deletions": message.deletions}


def time(message: Message, field: str) -> int | None:
    """Returns a Timestamp field in milliseconds; None if it is absent."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return stamp.seconds * 1000 + stamp.nanos // 1_000_000


def seconds(message: Duration) -> float:
    """Returns a duration in seconds."""
    return message.seconds + message.nanos / 1e9


def payload(message: Message) -> View:
    """Returns the set fields of an event's payload under their own names."""
    view: View = {}
    for field, value in message.ListFields():
        if field.enum_type is not None:
            view[field.name] = word(field.enum_type, value)
        elif isinstance(value, Duration):
            view[field.name] = seconds(value)
        elif isinstance(value, pb.UsageTotals):
            view[field.name] = usage(value)
        elif isinstance(value, Message):
            view[field.name] = payload(value)
        elif field.is_repeated:
            view[field.name] = [payload(each) if isinstance(each, Message) else each for each in value]
        else:
            view[field.name] = value
    return view


def word(enum: EnumDescriptor, number: int) -> str:
    """Returns an enum value as a word: RUN_STATE_PAUSED becomes "paused", an unknown number "unknown"."""
    value = enum.values_by_number.get(number)
    if value is None:
        return "unknown"
    # Every value begins with the enum's name, because the linter of the protos requires it.
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return value.name.removeprefix(prefix).lower()
