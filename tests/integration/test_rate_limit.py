"""A provider's limits and refusals with real services and the real Claude Code."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from heddle import pb
from heddle.client import HeddleClient
from tests.support.claude import environment
from tests.support.fleet import running_fleet
from tests.support.models.anthropic import AnthropicModel, anthropic_model
from tests.support.models.turns import Answer, Call, Failure, Turn
from tests.support.programs import need_package
from tests.support.repositories import git, make_repository
from tests.support.scheduler import eventually


@asynccontextmanager
async def limited_fleet(
    tmp_path: Path, answers: list[Answer]
) -> AsyncIterator[tuple[HeddleClient, AnthropicModel]]:
    """Serves a fleet whose Claude uses a scripted model; Claude tries each call twice."""
    need_package("claude_agent_sdk")
    async with anthropic_model(answers) as model:
        extra = environment(tmp_path, model.url)
        settings = {**extra, "HEDDLE_AGENT_ENV": ",".join(extra)}
        async with (
            running_fleet(tmp_path / "home", settings) as fleet,
            fleet.client() as client,
        ):
            yield client, model


def a_plan(name: str, *epics: str) -> pb.Plan:
    """Returns a plan of epics with two Claude tasks each and no retries."""
    allow = pb.Permissions(allow=["Bash(*)"])
    tasks = [pb.PlanTask(key=key, prompt=f"Do {key}", agent="claude") for key in ("one", "two")]
    return pb.Plan(
        name=name,
        defaults=pb.TaskDefaults(permissions=allow),
        epics=[pb.PlanEpic(key=epic, tasks=tasks) for epic in epics],
    )


async def until(client: HeddleClient, run: str, kind: str, after: int = 0) -> list[pb.Event]:
    """Returns a run's events up to the first event of a kind."""
    events: list[pb.Event] = []
    async for answer in client.watch_run(run, after=after):
        for event in answer.events:
            events.append(event)
            if event.WhichOneof("payload") == kind:
                return events
    raise AssertionError(f"the run ended without {kind}")


@pytest.mark.timeout(180)
async def test_a_rate_limited_claude_continues_by_itself(tmp_path: Path) -> None:
    """A task without retries waits when the model is overloaded, then continues with its session and files."""
    repository = make_repository(tmp_path / "repository")
    busy = Failure(529, "Overloaded")
    write = Turn(calls=[Call("Bash", {"command": "echo half > part.txt"})])
    async with limited_fleet(tmp_path, [write, busy, busy, Turn("Done.")]) as (client, model):
        plan = a_plan("Busy", "a")
        del plan.epics[0].tasks[1]
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
        events = await until(client, run.name, "run_finished")
        ended = await client.get_run(run.name)
        (task,) = await client.list_tasks(f"{run.name}/epics/a")
    assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
    assert not [event for event in events if event.HasField("task_failed")]
    [waiting] = [event.task_waiting for event in events if event.HasField("task_waiting")]
    assert waiting.reason.startswith("rate-limited until ")
    # This is not Claude's own half second between two tries.
    held = waiting.until.ToMicroseconds() - next(
        event.time.ToMicroseconds() for event in events if event.HasField("task_waiting")
    )
    assert held == pytest.approx(10e6, abs=1e6)
    assert task.attempt_count == 2
    # Exactly four calls: the second session knows what the first did, and has its file.
    assert len(model.requests) == 4
    assert "part.txt" in str(model.requests[-1]["messages"])
    assert git(repository, "show", f"{task.commit}:part.txt") == "half"


@pytest.mark.timeout(180)
async def test_a_refused_login_pauses_the_run(tmp_path: Path) -> None:
    """If the API refuses the credentials, the run pauses without failed tasks, and resumes after the fix."""
    repository = make_repository(tmp_path / "repository")
    async with limited_fleet(tmp_path, [Failure(401, "invalid x-api-key")]) as (client, model):
        plan = a_plan("Refused", "a", "b", "c")
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(repository)))
        events = await until(client, run.name, "run_paused")
        paused = await client.get_run(run.name)
        assert paused.held_by == "anthropic"
        assert "log in with `claude` on the worker" in paused.reason
        assert f"heddle resume {run.name.removeprefix('runs/')}" in paused.reason
        # Tasks that had started in parallel, each once.
        started = [event for event in events if event.HasField("task_started")]

        async def at_rest() -> bool:
            return not (await client.get_run(run.name)).tasks.running

        await eventually(at_rest)
        assert len(started) <= 3
        [hold] = await client.list_holds()
        assert (hold.provider, hold.cause, hold.waiting_tasks) == ("anthropic", pb.OUTCOME_UNAUTHORIZED, 6)

        work = [Turn(calls=[Call("Bash", {"command": "date +%N >> work.txt"})]), Turn("Done.")]
        model.play(work * 6, "")
        # One at a time, so that each task gets its own answers.
        await client.update_run(run.name, max_parallel=1)
        await client.resume_run(run.name)
        await until(client, run.name, "run_finished", paused.sequence)
        ended = await client.get_run(run.name)
        assert ended.tasks.accepted == 6
        assert await client.list_holds() == []
