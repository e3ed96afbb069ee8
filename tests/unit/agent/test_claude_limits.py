"""What a session of Claude says about the limit of a subscription."""

from pathlib import Path

import pytest

pytest.importorskip("claude_agent_sdk", reason="claude_agent_sdk is not installed")

from claude_agent_sdk import RateLimitEvent, RateLimitInfo

from agent_svc.agents.claude.messages.rate_limits import RateLimit
from agent_svc.agents.claude.messages.transcript import Transcript


def test_a_reached_limit_is_named_once() -> None:
    """A subscription's limit is named when it is reached, not again, and not while extra usage continues."""
    transcript = Transcript(Path("/w"), lambda: 0.0)

    def told(**raw: object) -> list[str]:
        info = RateLimitInfo(status="rejected", raw=raw)
        return [event.output.text for event in transcript.take(RateLimitEvent(info, "u", "s"))]

    assert told(status="allowed_warning", rateLimitType="five_hour") == []
    named = ["Claude's five-hour limit is reached.\n"]
    assert told(status="rejected", rateLimitType="five_hour", resetsAt=1_800_000_000) == named
    assert told(status="rejected", rateLimitType="five_hour", resetsAt=1_800_000_000) == []
    assert transcript.limit == RateLimit(reached=True, kind="five-hour limit", ends_at=1_800_000_000)
    assert told(status="rejected", rateLimitType="seven_day", isUsingOverage=True) == []
    assert transcript.limit is not None
    assert not transcript.limit.reached
