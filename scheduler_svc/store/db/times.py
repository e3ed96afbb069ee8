"""Converts times from and to the format of the tables: microseconds since 1970."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp


def micros(moment: datetime) -> int:
    """Converts a timezone-aware time to microseconds since 1970."""
    return round(moment.timestamp() * 1_000_000)


def timestamp(at: int) -> Timestamp:
    """Converts a column's value to a Timestamp message."""
    return Timestamp(seconds=at // 1_000_000, nanos=at % 1_000_000 * 1000)


def optional_timestamp(at: int | None) -> Timestamp | None:
    """Converts a column's value to a Timestamp message; null becomes None, which leaves a field absent."""
    return None if at is None else timestamp(at)
