from typing import Any

import pytest
from acp import RequestError

from agent_svc.drivers.acp import find
from agent_svc.hosts.acp.failures import reason, stopped_early

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
    """An error of the model's API is told by its status and with what to do; another one as it is."""
    assert told in reason(RequestError(-32603, message, data), AGENT)


def test_a_login_is_explained() -> None:
    """An agent that wants a login gets the line that logs it in."""
    told = reason(RequestError.auth_required(), AGENT)
    assert told == f"claude-agent-acp is not logged in: {AGENT.login}"


def test_only_some_stops_are_failures() -> None:
    """A turn that simply ended may have done its work; one that was cut has not."""
    assert stopped_early("end_turn") == stopped_early("cancelled") == ""
    assert "limit of turns" in stopped_early("max_turn_requests")
