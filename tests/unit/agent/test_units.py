"""Conversions of an agent's report where the units differ: seconds, milliseconds, dollars, bytes, base64."""

import asyncio
import base64
from pathlib import Path

import pytest
from acp.schema import Cost
from google.protobuf.duration_pb2 import Duration

from agent_svc.agents.acp.usage import Spending
from agent_svc.agents.base import images
from agent_svc.agents.base.host import ProviderError, _drive
from agent_svc.agents.base.tool_vocabulary import ToolCall
from agent_svc.agents.claude.messages.usage import Spending as ClaudeSpending
from agent_svc.agents.claude.own_folder import CLAUDE_FOLDER
from agent_svc.agents.codex.own_folder import CODEX_FOLDER
from agent_svc.reports.screenshots import FOLDER
from agent_svc.sessions.outcome import half_silent, silent, timed_out, used_up
from heddle import pb
from tests.unit.agent.test_host import Connection


@pytest.mark.parametrize(
    ("limit", "text", "half"),
    [
        (Duration(seconds=90), "90 s", Duration(seconds=45)),
        (Duration(seconds=1, nanos=500_000_000), "1.5 s", Duration(nanos=750_000_000)),
        (Duration(nanos=1), "1e-09 s", Duration()),
    ],
)
def test_limits_are_told_in_seconds(limit: Duration, text: str, half: Duration) -> None:
    """A duration of seconds and nanoseconds is told in seconds, and halved to the nanosecond."""
    assert timed_out(limit).reason == f"over its time limit of {text}"
    assert silent(limit).reason == f"the agent said and did nothing for {text}"
    assert half_silent(limit) == pb.SessionSilent(silence=half, limit=limit)


@pytest.mark.parametrize(("budget", "text"), [(1, "$1e-06"), (50_000, "$0.05"), (2_500_000, "$2.5")])
def test_budgets_are_told_in_dollars(budget: int, text: str) -> None:
    """A budget in millionths of a dollar is told in dollars."""
    assert text in used_up(budget).reason


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(None, None), (0.0, 0), (0.0004, 0), (0.0006, 1), (61.2345, 61_234)]
)
def test_calls_are_measured_in_milliseconds(seconds: float | None, milliseconds: int | None) -> None:
    """The duration of a call is rounded to the millisecond; a call that was not measured has none."""
    call = ToolCall("1", "Bash", "ls", pb.TOOL_KIND_EDIT, "")
    done = call.finished(ok=True, result="", seconds=seconds).tool_finished
    assert done.HasField("duration") == (milliseconds is not None)
    assert done.duration.ToMilliseconds() == (milliseconds or 0)


async def test_a_host_tells_when_to_start_again() -> None:
    """Seconds become a duration, and seconds since 1970 a time to the millisecond."""
    connection = Connection()

    async def drive(_: object) -> None:
        await asyncio.sleep(0)
        raise ProviderError("no", pb.OUTCOME_RATE_LIMITED, 1.25, 1_735_689_600.0017)

    assert await _drive(drive, connection.host) == 1
    [told] = connection.told()
    assert told.session_finished.retry_after == Duration(seconds=1, nanos=250_000_000)
    assert told.session_finished.retry_time.ToMilliseconds() == 1_735_689_600_002


async def test_a_host_waits_for_background_work_in_seconds() -> None:
    """The plan's wait has seconds and nanoseconds."""
    session = pb.StartSessionRequest(background_wait=Duration(seconds=1, nanos=250_000_000))
    assert Connection(session).host.background_wait == 1.25


def test_the_end_of_a_login() -> None:
    """Claude's login expires at a time in milliseconds, that of Codex eight days and ten minutes after its last renewal."""
    [claude], [codex] = CLAUDE_FOLDER.credentials, CODEX_FOLDER.credentials
    assert claude.expires({"claudeAiOauth": {"expiresAt": 1_800_000_000_250}}) == 1_800_000_000.25
    assert claude.expires({"claudeAiOauth": {}}) is None
    renewed = {"tokens": {}, "last_refresh": "2026-01-01T00:00:00Z"}
    assert codex.expires(renewed) == 1_767_225_600 + 8 * 86_400 + 600
    assert codex.expires(renewed | {"last_refresh": None}) is None


def test_cost_of_acp_agents() -> None:
    """A growing cost in dollars becomes differences in micros, whose sum is the rounded total."""
    spending = Spending()
    costs = [0.0000004, 0.0000015, 0.25, 1.0000026]
    told = [
        event.usage.cost_usd_micros
        for amount in costs
        for event in spending.cost(Cost(amount=amount, currency="usd"))
    ]
    assert told == [2, 249_998, 750_003]
    assert sum(told) == spending.total == 1_000_003
    assert spending.cost(Cost(amount=9.0, currency="EUR")) == []


def test_cost_of_claude() -> None:
    """Dollars since the session began become micros since the last report, by model."""
    usage = ClaudeSpending()
    first = usage.report({"m": {"costUSD": 0.1234564, "inputTokens": 10}})
    second = usage.report({"m": {"costUSD": 0.1234566, "inputTokens": 12}})
    assert [(each.usage.cost_usd_micros, each.usage.input_tokens) for each in (*first, *second)] == [
        (123_456, 10),
        (1, 2),
    ]


@pytest.mark.parametrize(("size", "kept"), [((16 << 20) - 1, True), ((16 << 20) + 1, False)])
def test_pictures_are_measured_in_bytes(tmp_path: Path, size: int, kept: bool) -> None:
    """The limit applies to the bytes of a picture, not to the longer text in base64."""
    data = base64.b64encode(bytes(size)).decode()
    problem = images.keep(tmp_path, images.Picture("image/png", data, "x" * 2000))
    assert problem == ("" if kept else "it has more than 16 MiB")
    stored = list((tmp_path / FOLDER).glob("*.png"))
    assert [path.stat().st_size for path in stored] == [size] * kept
    assert [len(path.read_text()) for path in (tmp_path / FOLDER).glob("*.txt")] == [1024] * kept
