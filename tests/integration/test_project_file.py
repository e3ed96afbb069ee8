"""Two runs on a real project with .heddle.yaml on one worker, with real services, git and processes."""

import asyncio
import json
from pathlib import Path

import pytest

from heddle import pb
from heddle.client import HeddleClient
from tests.support.fleet import running_fleet
from tests.support.repositories import git, make_repository

FILE = """
setup: |
  echo setting up $HEDDLE_EPIC
  echo once >> deps/setup.log
copy: .env
link: [{path: deps, source: cache}]
ports: 2
env: {URL: "http://localhost:${HEDDLE_PORT}/"}
checks: ['test "$(cat .env)" = SECRET=1']
teardown: echo $HEDDLE_PORT >> deps/torn-down.log
"""

# An agent that binds its ports while the others have theirs, then tries to change what Heddle runs.
AGENT = """
import json, os, pathlib, socket, sys, time
meeting, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
ports = [int(port) for port in os.environ["HEDDLE_PORTS"].split(",")]
held = [socket.create_server(("127.0.0.1", port)) for port in ports]
assert os.environ["URL"] == f"http://localhost:{ports[0]}/"
name = f"{os.environ['HEDDLE_RUN']}-{os.environ['HEDDLE_EPIC']}"
scratch = meeting / f"{name}.new"
scratch.write_text(json.dumps({"slot": os.environ["HEDDLE_SLOT"], "ports": ports}))
scratch.rename(meeting / f"{name}.json")
deadline = time.monotonic() + 60
while len(list(meeting.glob("*.json"))) < count:
    if time.monotonic() > deadline:
        sys.exit("the others never came")
    time.sleep(0.02)
pathlib.Path(".heddle.yaml").write_text("setup: touch pwned\\nchecks: ['false']\\nteardown: touch pwned\\n")
pathlib.Path(".env").write_text("SECRET=1\\n")
pathlib.Path(f"{os.environ['HEDDLE_EPIC']}-{os.environ['HEDDLE_TASK']}.txt").write_text("work")
"""


def make_plan(agent: str) -> pb.Plan:
    tasks = [pb.PlanTask(key=key, prompt=f"Do {key}") for key in ("one", "two")]
    epics = [pb.PlanEpic(key=key, tasks=tasks) for key in ("api", "web")]
    # No merge checks: the test looks only at the workspaces of epics.
    none = pb.MergeChecks()
    return pb.Plan(name="Places", defaults=pb.TaskDefaults(agent=agent), epics=epics, merge_checks=none)


async def ended(client: HeddleClient, run: str) -> list[pb.Event]:
    events = [event async for response in client.watch_run(run) for event in response.events]
    assert events[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
    return events


@pytest.mark.timeout(180)
async def test_two_runs_with_a_place_each(tmp_path: Path) -> None:
    """Epics have disjoint ports, setup runs once in each worktree, and .env is present but not committed.

    An agent's changes to .heddle.yaml do not affect what Heddle runs. The
    scheduler is killed and restarted during the runs.
    """
    project = make_repository(tmp_path / "project", {".heddle.yaml": FILE, "README.md": "# Sample\n"})
    (project / ".env").write_text("SECRET=1")
    (meeting := tmp_path / "meeting").mkdir()
    (meeting / "agent.py").write_text(AGENT)
    plan = make_plan(f"command:python3 {meeting / 'agent.py'} {meeting} 4")
    async with running_fleet(
        tmp_path / "home", {"HEDDLE_STOP_GRACE": "1", "HEDDLE_SANDBOX_WRITABLE": str(meeting)}
    ) as fleet:
        async with fleet.client() as client:
            runs = [
                await client.create_run(pb.CreateRunRequest(plan=plan, project=str(project)))
                for _ in range(2)
            ]
            fleet.kill("scheduler_svc")
            await fleet.start("scheduler_svc")
            logs = await asyncio.gather(*(ended(client, run.name) for run in runs))
            tasks = [task for run in runs for task in (await client.list_tasks(f"{run.name}/epics/-"))]
        caches = list((fleet.home / "caches").iterdir())
        left = list((fleet.home / "worktrees").iterdir())
    leases = [json.loads(path.read_text()) for path in meeting.glob("*.json")]
    assert sorted(int(lease["slot"]) for lease in leases) == [1, 2, 3, 4]
    ports = [port for lease in leases for port in lease["ports"]]
    assert len({*ports}) == 8
    assert [task.state for task in tasks] == [pb.TASK_STATE_ACCEPTED] * 8
    assert all(task.checks[0].run.startswith("test ") for task in tasks)
    for task in tasks:
        changed = set(git(project, "diff", "--name-only", f"{task.commit}^", task.commit).splitlines())
        assert changed <= {f"{task.name.split('/')[3]}-{task.key}.txt", ".heddle.yaml"}
    assert "pwned" not in git(project, "log", "--all", "--name-only", "--format=")
    assert (caches[0] / "deps" / "setup.log").read_text() == "once\n" * 4
    torn_down = (caches[0] / "deps" / "torn-down.log").read_text().split()
    assert sorted(map(int, torn_down)) == sorted(lease["ports"][0] for lease in leases)
    for events in logs:
        assert sum(event.setup_finished.ok for event in events) == 2
        assert sum(event.teardown_finished.ok for event in events) == 2
    assert left == []
    assert git(project, "status", "--porcelain") == "?? .env"


@pytest.mark.timeout(120)
async def test_a_failed_setup_is_mended_and_retried(tmp_path: Path) -> None:
    """A failed setup fails the epic with its output; once it is fixed, a retry runs setup and the task."""
    tool = tmp_path / "tools" / "tool"
    file = 'setup: "echo looking for the tool; test -e \\"$TOOL\\""\n' + f'env: {{TOOL: "{tool}"}}\n'
    project = make_repository(tmp_path / "project", {".heddle.yaml": file})
    plan = pb.Plan(
        name="Tool",
        defaults=pb.TaskDefaults(agent="command:echo done > done.txt"),
        epics=[pb.PlanEpic(key="a", tasks=[pb.PlanTask(key=key, prompt="Do it") for key in ("one", "two")])],
    )
    tool.parent.mkdir()
    # A sandbox hides everything else in the system's temporary folder.
    seen = {"HEDDLE_SANDBOX_WRITABLE": str(tool.parent)}
    async with running_fleet(tmp_path / "home", seen) as fleet, fleet.client() as client:
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=str(project)))
        events = [event async for response in client.watch_run(run.name) for event in response.events]
        (epic,) = await client.list_epics(run.name)
        assert epic.state == pb.EPIC_STATE_FAILED
        assert epic.reason.endswith("failed with exit code 1:\nlooking for the tool")
        assert events[-1].run_finished.outcome == pb.OUTCOME_FAILED
        page = await client.list_session_events(f"{run.name}/epics/a/tasks/one/attempts/1")
        assert "looking for the tool" in "".join(event.output.text for event in page.events)

        tool.touch()
        await client.retry_task(f"{run.name}/epics/a/tasks/one")
        last = events[-1].sequence
        async for response in client.watch_run(run.name, after=last):
            events += response.events
        assert events[-1].run_finished.outcome == pb.OUTCOME_SUCCEEDED
        assert [event.setup_finished.ok for event in events if event.HasField("setup_finished")] == [
            False,
            True,
        ]
