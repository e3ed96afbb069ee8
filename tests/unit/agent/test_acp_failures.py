from typing import Any

import pytest
from acp import RequestError

from agent_svc.agents.acp.failures import failed, reason, stopped_early
from agent_svc.agents.acp.presets import find
from heddle import pb

AGENT = find("acp:claude-agent-acp")


@pytest.mark.parametrize(
    ("message", "data", "told"),
    [
        (
            "Internal error: API Error: 401 bad key",
            None,
            "refused the login (401); log in: run `claude` and /login",
        ),
        ("HTTP 429: slow down", None, "rate limited"),
        ("Internal error", {"details": "request failed with status code 529"}, "overloaded"),
        ("Internal error", {"errorKind": "billing_error"}, "no credit left (402)"),
        ("Internal error", {"details": "the disk is on fire"}, "failed: Internal error: the disk is on fire"),
        ("port 8429 is taken", None, "claude-agent-acp failed: port 8429 is taken"),
        ("it broke", ["a", "list"], "claude-agent-acp failed: it broke"),
    ],
)
def test_errors_say_what_to_do(message: str, data: Any, told: str) -> None:
    """An error of the model's API is reported with its status and what to do; any other error is unchanged."""
    assert told in reason(RequestError(-32603, message, data), AGENT)


def test_a_login_is_explained() -> None:
    """If an agent requires a login, the error contains the command that logs it in."""
    error = failed(RequestError.auth_required(), AGENT)
    assert str(error) == f"claude-agent-acp is not logged in: {AGENT.login}"
    assert error.outcome == pb.OUTCOME_UNAUTHORIZED


@pytest.mark.parametrize(
    ("message", "kind", "outcome"),
    [
        ("Internal error: Invalid API key", "authentication_failed", pb.OUTCOME_UNAUTHORIZED),
        ("Internal error: Credit balance is too low", "billing_error", pb.OUTCOME_OUT_OF_CREDIT),
        ("Internal error: slow down", "rate_limit", pb.OUTCOME_RATE_LIMITED),
        ("Internal error: API Error: 500 internal", "server_error", pb.OUTCOME_PROVIDER_UNAVAILABLE),
        ("Internal error: Connection refused", "server_error", pb.OUTCOME_PROVIDER_UNAVAILABLE),
        ("Internal error: no idea", "unknown", pb.OUTCOME_FAILED),
    ],
)
def test_outages_are_told_apart(message: str, kind: str, outcome: "pb.Outcome.ValueType") -> None:
    """Without a status, the adapter's own name for the provider's failure decides the kind of outage."""
    assert failed(RequestError(-32603, message, {"errorKind": kind}), AGENT).outcome == outcome


def test_a_limit_ends_when_the_agent_says() -> None:
    """The time that the agent's message names is kept."""
    error = failed(
        RequestError(-32603, "You've hit your limit|1796000000", {"errorKind": "rate_limit"}), AGENT
    )
    assert error.retry_at == 1_796_000_000


def test_only_some_stops_are_failures() -> None:
    """A turn that ended normally is not a failure; a turn that was cut off is one."""
    assert stopped_early("end_turn") == stopped_early("cancelled") == ""
    assert "limit of turns" in stopped_early("max_turn_requests")
