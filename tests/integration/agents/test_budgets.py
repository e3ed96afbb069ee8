"""Real agents are stopped at their budgets, and their usage is reported once, while they work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent_svc.agents.catalogue import default_catalogue
from heddle import pb
from tests.support.agents import ending, payloads
from tests.support.claude import Claude
from tests.support.codex import Codex
from tests.support.models.turns import Call, Turn
from tests.support.real_agents import CLAUDE_KINDS, KINDS, real_agent

# A model that is in both price tables: 1 and 5 dollars per million tokens.
MODEL = "claude-haiku-4-5"

ALLOWED = pb.Permissions(default=pb.PERMISSION_DECISION_ALLOW)


@asynccontextmanager
async def real(kind: str, folder: Path) -> AsyncIterator[Claude | Codex]:
    """Serves a worker and a model for one kind of agent, with MODEL for Claude."""
    async with real_agent(kind, folder) as it:
        if kind in CLAUDE_KINDS:
            # The adapter uses other model names; its own settings name this one.
            it.environment["ANTHROPIC_MODEL"] = MODEL
        yield it


def bash(command: str) -> Call:
    return Call("Bash", {"command": command})


def spent(events: list[pb.Event]) -> int:
    return sum(event.usage.cost_usd_micros for event in payloads(events, "usage"))


def tokens(events: list[pb.Event]) -> tuple[int, int]:
    used = [event.usage for event in payloads(events, "usage")]
    return sum(each.input_tokens for each in used), sum(each.output_tokens for each in used)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_agent_in_a_loop_is_stopped_at_its_budget(tmp_path: Path, kind: str) -> None:
    """Each kind of agent, in a turn that never ends, is stopped within one or two model calls of its budget."""
    async with real(kind, tmp_path) as it:
        it.model.play([Turn("again", calls=[bash("echo again")])] * 500, "Do it")
        # A call costs 1,500 micros, or 8,000 with codex's model.
        budget = 24_000 if kind == "codex" else 4_500
        events = await it.worker.run(
            kind, environment=it.environment, permissions=ALLOWED, model=_model(kind), budget=budget
        )
        calls = len(it.model.requests)
    outcome, reason = ending(events)
    assert outcome == "OVER_BUDGET", reason
    assert "budget" in reason
    assert calls <= 5
    assert budget <= spent(events) <= 2 * budget
    # Usage is reported after each call, not at the end.
    assert len(payloads(events, "usage")) >= 3


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stopped_agent_has_told_what_it_used(tmp_path: Path, kind: str) -> None:
    """If an agent is stopped during a turn, its calls count, including Claude's unfinished one."""
    async with real(kind, tmp_path) as it:
        answers = [Turn(calls=[bash("echo one")]), Turn("It is", input_tokens=5000, holds=True)]
        it.model.play(answers, "Do it")
        attempt = await it.worker.start(
            kind, environment=it.environment, permissions=ALLOWED, model=_model(kind)
        )
        await it.worker.until(attempt, lambda event: event.HasField("usage"))
        if kind == "codex":
            async with asyncio.timeout(60):
                while len(it.model.requests) < 2:  # noqa: ASYNC110 (the model sends no notification)
                    await asyncio.sleep(0.05)
        else:
            await it.worker.until(attempt, lambda event: "It" in event.message.text)
        await it.worker.stop(attempt, grace=10)
        events = await it.worker.events(attempt)
    assert ending(events)[0] == "STOPPED"
    # codex counts a call once it is answered.
    assert tokens(events)[0] == (1000 if kind == "codex" else 6000)
    assert spent(events) > 0


@pytest.mark.parametrize("kind", CLAUDE_KINDS)
async def test_what_sub_agents_use_counts_once(tmp_path: Path, kind: str) -> None:
    """A sub-agent's calls are reported as its own while it works, and not again in the turn's result."""
    async with real(kind, tmp_path) as it:
        task = {"description": "count", "prompt": "Look into it", "subagent_type": "general-purpose"}
        it.model.play(
            [
                Turn(calls=[bash("echo sub")], input_tokens=20_000, output_tokens=200),
                Turn(calls=[bash("echo sub")], input_tokens=30_000, output_tokens=300),
                Turn("It is done.", input_tokens=40_000, output_tokens=400),
            ],
            "Look into it",
        )
        call = Call("Agent", {**task, "run_in_background": False})
        it.model.play(
            [Turn(calls=[call]), Turn("Done.", input_tokens=7000, output_tokens=70)], "Do the main work"
        )
        events = await it.worker.run(
            kind,
            environment=it.environment,
            permissions=ALLOWED,
            model=_model(kind),
            prompt="Do the main work",
        )
        assert len(it.model.requests) == 5
    assert ending(events) == ("SUCCEEDED", "")
    assert tokens(events) == (98_000, 1070)
    assert spent(events) == 98_000 + 5 * 1070
    sums = [event.usage for event in payloads(events, "usage")]
    # Most usage was reported before the turn was over.
    assert sum(used.input_tokens for used in sums[:-2]) >= 21_000
    # They name the call that started it.
    (delegated,) = [
        event.tool_started
        for event in payloads(events, "tool_started")
        if event.tool_started.kind == pb.TOOL_KIND_DELEGATE
    ]
    mine = [used for used in sums if used.parent_tool_call_id]
    assert {used.parent_tool_call_id for used in mine} == {delegated.tool_call_id}
    # The adapter does not pass on a sub-agent's last message. A report that covers calls of two agents names none,
    # and the last call of the sub-agent can end together with the main agent's next.
    assert sum(used.input_tokens for used in mine) in ({50_000, 90_000} if kind == "claude" else {50_000})
    assert {used.sub_agent for used in mine} == ({"count"} if kind == "claude" else {""})
    # All estimates were settled.
    estimates = sum(used.cost_usd_micros for used in sums if used.estimated)
    assert estimates == sum(used.settled_usd_micros for used in sums)


def test_each_kind_says_whether_a_budget_can_stop_it() -> None:
    """The kinds that report usage live are exactly those that these tests stop at a budget."""
    programs = {program.name: program for program in default_catalogue().programs()}
    live = {name for name, each in programs.items() if each.usage_reports == pb.USAGE_REPORTS_LIVE}
    assert live == {*KINDS, "scripted"}
    assert all(each.usage_reports for each in programs.values())
    assert {name for name, each in programs.items() if each.holds_max_turns} == set(CLAUDE_KINDS)


def _model(kind: str) -> str:
    return MODEL if kind == "claude" else ""
