"""Times as the tables hold them: microseconds since 1970."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp


def micros(moment: datetime) -> int:
    """Returns an aware time in microseconds since 1970."""
    return round(moment.timestamp() * 1_000_000)


def timestamp(at: int) -> Timestamp:
    """Returns the message of a column's value."""
    return Timestamp(seconds=at // 1_000_000, nanos=at % 1_000_000 * 1000)


def optional_timestamp(at: int | None) -> Timestamp | None:
    """Returns the message of a column's value; None, which leaves a field absent, for null."""
    return None if at is None else timestamp(at)
