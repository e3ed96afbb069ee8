"""Time as an argument: services take a `Clock`, tests move one by hand."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Returns the time now, aware, in UTC."""
    return datetime.now(UTC)
