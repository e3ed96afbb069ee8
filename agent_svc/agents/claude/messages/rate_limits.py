"""Reads the rate limit of a subscription, which Claude Code and its adapter report as data. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

# The type of the message of Claude Code that reports the limit, and the field of it with the limit.
REPORT: Final = "rate_limit_event"
REPORTED: Final = "rate_limit_info"

# The field of an update's metadata in which the adapter repeats that limit.
METADATA: Final = "_claude/rateLimit"

_REJECTED: Final = "rejected"

# 2100, in seconds since 1970: a later time is not in seconds.
_FAR: Final = 4_102_444_800

# By Claude's name of the kind of limit.
_KINDS: Final = {
    "five_hour": "five-hour limit",
    "seven_day": "seven-day limit",
    "seven_day_opus": "seven-day limit of Opus",
    "seven_day_sonnet": "seven-day limit of Sonnet",
    "overage": "limit of extra usage",
}


@dataclass(frozen=True)
class RateLimit:
    """The state of the limit that Claude reported last."""

    # True: the provider refuses every call until the limit ends.
    reached: bool
    # For people, for example "five-hour limit"; "rate limit" if Claude does not name its kind.
    kind: str
    # When the limit ends, in seconds since 1970. None: unknown.
    ends_at: float | None

    @property
    def said(self) -> str:
        """Says that the limit is reached, without a full stop."""
        return f"Claude's {self.kind} is reached"


def rate_limit(told: object) -> RateLimit | None:
    """Returns the limit in Claude's report of it; None if the report has an unknown form."""
    if not isinstance(told, Mapping) or not isinstance(told.get("status"), str):
        return None
    kind = told.get("rateLimitType")
    ends_at = _moment(told, "resetsAt")
    if ends_at is None and kind == "overage":
        ends_at = _moment(told, "overageResetsAt")
    # A subscription whose limit is reached may continue with extra usage that is paid for.
    continues = told.get("isUsingOverage") is True or told.get("overageInUse") is True
    return RateLimit(told["status"] == _REJECTED and not continues, _words(kind), ends_at)


def _words(kind: object) -> str:
    if not isinstance(kind, str) or not kind:
        return "rate limit"
    return _KINDS.get(kind, f"limit {kind!r}")


def _moment(told: Mapping[str, Any], field: str) -> float | None:
    seconds = told.get(field)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return float(seconds) if 0 < seconds < _FAR else None
