"""Time as a dependency: services take a `Clock`, and tests control it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Returns the current time in UTC, timezone-aware."""
    return datetime.now(UTC)
