"""Which failures are outages of the provider, and how long they last."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from agent_svc.agents.base.host import ProviderError
from agent_svc.agents.base.provider_failures import failure, kind_of, reset_time
from heddle import pb

RATE_LIMITED = pb.OUTCOME_RATE_LIMITED
UNAUTHORIZED = pb.OUTCOME_UNAUTHORIZED
OUT_OF_CREDIT = pb.OUTCOME_OUT_OF_CREDIT
UNAVAILABLE = pb.OUTCOME_PROVIDER_UNAVAILABLE
FAILED = pb.OUTCOME_FAILED

NOW = datetime(2026, 11, 29, 20, 37, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (401, "invalid x-api-key", UNAUTHORIZED),
        (403, "forbidden", UNAUTHORIZED),
        (402, "pay", OUT_OF_CREDIT),
        (400, "Credit balance is too low", OUT_OF_CREDIT),
        (429, "You exceeded your current quota, please check your plan", OUT_OF_CREDIT),
        (None, "Quota exceeded. Check your plan and billing details.", OUT_OF_CREDIT),
        (429, "slow down", RATE_LIMITED),
        (529, "Overloaded", RATE_LIMITED),
        (None, "You've hit your usage limit. Upgrade to Pro", RATE_LIMITED),
        (None, "You've hit your 5-hour limit · resets 11:36pm (UTC)", RATE_LIMITED),
        (500, "internal", UNAVAILABLE),
        (503, "down", UNAVAILABLE),
        (None, "API Error: Connection refused — a firewall may be blocking it (ECONNREFUSED)", UNAVAILABLE),
        (None, "stream disconnected before completion: error sending request", UNAVAILABLE),
        (None, "We're currently experiencing high demand", UNAVAILABLE),
        (None, "Invalid API key · Fix external API key", UNAUTHORIZED),
        (400, "prompt is too long", FAILED),
        (404, "model: nope", FAILED),
        (None, "the model refused to answer", FAILED),
        (0, "port 8429 is taken", FAILED),
    ],
)
def test_failures_are_told_apart(status: int | None, said: str, kind: "pb.Outcome.ValueType") -> None:
    """Text about credit decides first, then the status, then the agent's own message."""
    assert kind_of(status, said) == kind


def test_only_the_providers_failures_are_outages() -> None:
    """An outage carries its kind, and the time if the provider named one; other failures are unchanged."""
    limit = failure("wait", 429, "slow down", retry_after=3, retry_at=1e9)
    assert isinstance(limit, ProviderError)
    assert (str(limit), limit.outcome, limit.retry_after, limit.retry_at) == ("wait", RATE_LIMITED, 3, 1e9)
    assert not isinstance(failure("wrong", 400, "bad request", retry_after=3), ProviderError)


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        ("usage limit reached|1796000000", datetime.fromtimestamp(1_796_000_000, UTC)),
        ("Please try again in 3s.", NOW + timedelta(seconds=3)),
        ("try again in 20ms", NOW + timedelta(milliseconds=20)),
        ("try again in 2 hours 5 minutes.", NOW + timedelta(hours=2, minutes=5)),
        ("or try again at 10:37 PM.", datetime(2026, 11, 29, 22, 38, tzinfo=UTC)),
        ("or try again at 8:37 PM.", datetime(2026, 11, 29, 20, 38, tzinfo=UTC)),
        ("or try again at 1:05 AM.", datetime(2026, 11, 30, 1, 6, tzinfo=UTC)),
        ("try again at Dec 3rd, 2026 10:37 PM.", datetime(2026, 12, 3, 22, 38, tzinfo=UTC)),
        ("resets Jan 2 at 3pm (UTC)", datetime(2027, 1, 2, 15, 1, tzinfo=UTC)),
        ("resets 11:36pm (UTC)", datetime(2026, 11, 29, 23, 37, tzinfo=UTC)),
        ("resets 12am (UTC)", datetime(2026, 11, 30, 0, 1, tzinfo=UTC)),
        ("resets 1am (Europe/Berlin)", datetime(2026, 11, 30, 0, 1, tzinfo=UTC)),
        ("resets 1am (Not/A_Zone)", None),
        ("try again at Feb 31st, 2026 10:37 PM", None),
        ("try again later", None),
    ],
)
def test_the_end_of_a_limit_is_read(said: str, moment: datetime | None) -> None:
    """Times are read as agents write them, never before the limit ends; without one, there is none."""
    assert reset_time(said, NOW) == (None if moment is None else moment.timestamp())


def test_a_time_without_a_zone_is_local() -> None:
    """Agents give times of day in the time zone of their machine."""
    here = NOW.astimezone(timezone(timedelta(hours=2)))
    told = reset_time("try again at 11:00 PM", here)
    assert told == datetime(2026, 11, 29, 21, 1, tzinfo=UTC).timestamp()
