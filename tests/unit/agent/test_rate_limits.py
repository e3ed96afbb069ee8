from typing import Any

import pytest
from acp import RequestError

from agent_svc.agents.acp.failures import failed
from agent_svc.agents.acp.presets import find
from agent_svc.agents.claude.messages.rate_limits import RateLimit, rate_limit
from heddle import pb

AGENT = find("acp:claude-agent-acp")
NOW = 1_796_000_000
SAID = "You've hit your 5-hour limit · resets 3pm (UTC)"


@pytest.mark.parametrize(
    ("told", "limit"),
    [
        (
            {"status": "rejected", "rateLimitType": "five_hour", "resetsAt": NOW},
            RateLimit(True, "five-hour limit", NOW),
        ),
        (
            {"status": "rejected", "rateLimitType": "seven_day_opus", "resetsAt": NOW + 0.5},
            RateLimit(True, "seven-day limit of Opus", NOW + 0.5),
        ),
        (
            {"status": "rejected", "rateLimitType": "overage", "overageResetsAt": NOW},
            RateLimit(True, "limit of extra usage", NOW),
        ),
        ({"status": "rejected", "rateLimitType": "per_moon"}, RateLimit(True, "limit 'per_moon'", None)),
        ({"status": "allowed_warning", "resetsAt": NOW}, RateLimit(False, "rate limit", NOW)),
        ({"status": "rejected", "isUsingOverage": True}, RateLimit(False, "rate limit", None)),
        ({"status": "rejected", "resetsAt": "soon"}, RateLimit(True, "rate limit", None)),
        ({"status": "rejected", "resetsAt": NOW * 1000}, RateLimit(True, "rate limit", None)),
        ({"status": "rejected", "resetsAt": float("nan")}, RateLimit(True, "rate limit", None)),
        ({"resetsAt": NOW}, None),
        (["rejected"], None),
        (None, None),
    ],
)
def test_limits_are_read(told: Any, limit: RateLimit | None) -> None:
    """A report of a limit says whether it is reached, its kind and its end; unknown parts are left out."""
    assert rate_limit(told) == limit


REACHED = RateLimit(True, "five-hour limit", NOW + 7)


@pytest.mark.parametrize(
    ("said", "data"),
    [
        (SAID, {"errorKind": "rate_limit"}),
        ("API Error: 429 no", None),
        # A message without a status, in words that nothing else recognizes.
        ("Come back later", None),
    ],
)
def test_a_reported_limit_is_exact(said: str, data: Any) -> None:
    """The kind of a reached limit and its end are those that the agent reports as data."""
    error = failed(RequestError(-32603, said, data), AGENT, REACHED)
    assert (error.outcome, error.retry_at) == (pb.OUTCOME_RATE_LIMITED, NOW + 7)
    assert str(error).startswith("Claude's five-hour limit is reached (429); wait for it to pass.")


@pytest.mark.parametrize(
    "limit", [None, RateLimit(True, "rate limit", None), RateLimit(False, "five-hour limit", NOW + 7)]
)
def test_without_a_reported_end_the_message_counts(limit: RateLimit | None) -> None:
    """If the agent reports no end of a reached limit as data, the end in its message counts."""
    error = failed(RequestError(-32603, f"{SAID}|{NOW}", {"errorKind": "rate_limit"}), AGENT, limit)
    assert (error.outcome, error.retry_at) == (pb.OUTCOME_RATE_LIMITED, NOW)


def test_other_failures_stay_what_they_are() -> None:
    """A refused log-in is not a rate limit, even after a limit was reached."""
    error = failed(RequestError(-32603, "API Error: 401 bad key"), AGENT, REACHED)
    assert (error.outcome, error.retry_at) == (pb.OUTCOME_UNAUTHORIZED, None)
