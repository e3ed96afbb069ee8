"""Times as the tables hold them: microseconds since 1970."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp


def micros(moment: datetime) -> int:
    """Returns an aware time in microseconds since 1970."""
    return round(moment.timestamp() * 1_000_000)


def timestamp(at: int | None) -> Timestamp | None:
    """Returns the message of a column's value; None stays None, which leaves a field absent."""
    if at is None:
        return None
    return Timestamp(seconds=at // 1_000_000, nanos=at % 1_000_000 * 1000)
