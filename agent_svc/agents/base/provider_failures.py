"""Classifies failed calls of a model's provider; no other module does. Pure.

Hosts pass the HTTP status, if their agent reports it, and the agent's message.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from agent_svc.agents.base.host import AgentFailedError, ProviderError
from heddle import pb

_OF_STATUS: Final = {
    401: pb.OUTCOME_UNAUTHORIZED,
    402: pb.OUTCOME_OUT_OF_CREDIT,
    403: pb.OUTCOME_UNAUTHORIZED,
    408: pb.OUTCOME_PROVIDER_UNAVAILABLE,
    429: pb.OUTCOME_RATE_LIMITED,
    # Overloaded: like a rate limit, it is temporary.
    529: pb.OUTCOME_RATE_LIMITED,
}

# Providers answer 400, 403 or 429 if an account has no credit left.
_CREDIT: Final = re.compile(
    r"credit balance|insufficient[_ ]quota|quota exceeded|exceeded your current quota|billing_error"
    r"|payment required|out of credits",
    re.IGNORECASE,
)

# Used if no status is reported.
_WORDS: Final = (
    (
        pb.OUTCOME_UNAUTHORIZED,
        re.compile(
            r"authentication_failed|invalid api key|please run /login|not logged in|failed to authenticate",
            re.IGNORECASE,
        ),
    ),
    (
        pb.OUTCOME_RATE_LIMITED,
        re.compile(r"\busage limit|\brate.limit|hit your [\w-]*\s*limit|overloaded", re.IGNORECASE),
    ),
    (
        pb.OUTCOME_PROVIDER_UNAVAILABLE,
        re.compile(
            r"\bE(?:CONN\w+|TIMEDOUT|PIPE|NOTFOUND|AI_AGAIN|HOSTUNREACH|NETUNREACH)\b|connection (?:error|refused|reset|closed|lost)"
            r"|unable to connect|socket hang up|stream disconnected|error sending request|fetch failed|high demand"
            r"|server_error|service unavailable|bad gateway",
            re.IGNORECASE,
        ),
    ),
)

_FIRST_SERVER_ERROR: Final = 500

# 1735689600, as in "usage limit reached|1735689600".
_EPOCH: Final = re.compile(r"\|(\d{10})\b")
_IN: Final = re.compile(r"try again in ((?:[\d.]+ ?[a-z]+[, ]*(?:and )?)+)", re.IGNORECASE)
_SPAN: Final = re.compile(r"([\d.]+) ?(ms|s|m|h|d)[a-z]*", re.IGNORECASE)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# "try again at 10:37 PM", "resets 3pm (UTC)", "try again at Dec 3rd, 2026 10:37 PM".
_AT: Final = re.compile(
    r"(?:try again at|resets(?: at)?) (?:(?P<month>[A-Z][a-z]{2})[a-z]* (?P<day>\d{1,2})(?:st|nd|rd|th)?,?"
    r" (?:(?P<year>\d{4}),? )?(?:at )?)?(?P<hour>\d{1,2})(?::(?P<minute>\d\d))? ?(?P<half>[ap]m)(?: \((?P<zone>[\w/+-]+)\))?",
    re.IGNORECASE,
)


def kind_of(status: int | None, said: str) -> "pb.Outcome.ValueType":
    """Returns the outcome of the failure; FAILED if the provider did not cause it."""
    if _CREDIT.search(said):
        return pb.OUTCOME_OUT_OF_CREDIT
    if status in _OF_STATUS:
        return _OF_STATUS[status]
    if status:
        return pb.OUTCOME_PROVIDER_UNAVAILABLE if status >= _FIRST_SERVER_ERROR else pb.OUTCOME_FAILED
    return next((outcome for outcome, words in _WORDS if words.search(said)), pb.OUTCOME_FAILED)


def failure(
    reason: str,
    status: int | None,
    said: str,
    *,
    retry_after: float | None = None,
    retry_at: float | None = None,
) -> AgentFailedError:
    """Returns the error that a host raises; `reason` is for people, the rest is as in ProviderError."""
    outcome = kind_of(status, said)
    if outcome == pb.OUTCOME_FAILED:
        return AgentFailedError(reason)
    return ProviderError(reason, outcome, retry_after, retry_at)


def reset_time(said: str, now: datetime) -> float | None:
    """Returns when a limit ends according to an agent's message, in seconds since 1970; None if unknown.

    A time that is given to the minute is rounded up to the next minute. A time of day without
    a zone is in the zone of `now`.
    """
    if found := _EPOCH.search(said):
        return float(found[1])
    if found := _IN.search(said):
        spans = _SPAN.findall(found[1])
        return now.timestamp() + sum(float(number) * _SECONDS[unit.lower()] for number, unit in spans)
    if found := _AT.search(said):
        try:
            return _moment(found, now).timestamp()
        except (ValueError, KeyError):
            return None
    return None


def _moment(found: re.Match[str], now: datetime) -> datetime:
    zone: tzinfo | None = _zone(found["zone"]) if found["zone"] else now.tzinfo
    here = now.astimezone(zone)
    hour = int(found["hour"]) % 12 + 12 * (found["half"].lower() == "pm")
    moment = here.replace(hour=hour, minute=int(found["minute"] or 0), second=0, microsecond=0)
    if found["month"]:
        month = datetime.strptime(found["month"].title(), "%b").month  # noqa: DTZ007 (only its month is taken)
        year = int(found["year"] or here.year)
        moment = moment.replace(year=year, month=month, day=int(found["day"]))
        if not found["year"] and moment < here - timedelta(days=1):
            moment = moment.replace(year=year + 1)
    elif moment < here.replace(second=0, microsecond=0):
        moment += timedelta(days=1)
    return moment + timedelta(minutes=1)


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)
