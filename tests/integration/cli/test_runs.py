"""The command with the real services; one `heddle up` serves all tests of this file."""

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

import psutil
import pytest
from google.protobuf.json_format import Parse

from heddle import pb
from heddle.cli.admin.ports import Endpoints
from tests.integration.cli.server import FAILING, LONG, QUICK, Server
from tests.support.commands import HEDDLE, run, running
from tests.support.ports import free_base
from tests.support.repositories import git

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPENDING = """
name: Spending
epics:
  - key: api
    budget_usd: 1
    tasks:
      - key: one
        script:
          - usage: {model: large, input_tokens: 1200, output_tokens: 10, cost_usd: 0.25}
          - usage: {model: odd, output_tokens: 10}
"""


def parsed(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def sequences(events: Iterable[pb.Event]) -> list[int]:
    return [event.sequence for event in events]


async def test_wait_shows_the_run_and_its_result(server: Server) -> None:
    """A successful run exits 0; piped output has a line for each event and says where the result is."""
    repository = server.repository()
    code, out, err = await server.heddle("run", server.plan(QUICK), "--repo", str(repository), "--wait")
    assert code == 0, err
    assert "api: epic started: Backend API" in out
    assert "succeeded (3/3 tasks accepted" in out
    branch = next(line for line in out.splitlines() if "result is on branch" in line).split()[5]
    assert git(repository, "ls-tree", "--name-only", branch).split() == [
        "README.md",
        "one.txt",
        "page.html",
        "two.txt",
    ]
    assert git(repository, "status", "--porcelain") == ""


async def test_wait_exits_1_for_a_run_that_fails(server: Server) -> None:
    """A run that fails exits 1, and the output says which epic failed and why."""
    code, out, _ = await server.heddle(
        "run", server.plan(FAILING), "--repo", str(server.repository()), "--wait"
    )
    assert code == 1
    assert "failed: no luck" in out
    assert "  api: failed" in out


async def test_lists_print_one_message_a_line(server: Server) -> None:
    """For every list and stream, --json prints the canonical JSON of the API's messages."""
    name = await server.begin(QUICK)
    code, out, _ = await server.heddle("watch", name, "--json")
    assert code == 0
    watched = [Parse(line, pb.WatchRunResponse()) for line in out.splitlines()]
    assert watched[-1].run.state == pb.RUN_STATE_SUCCEEDED or watched[-1].resume_sequence
    _, out, _ = await server.heddle("events", name, "--json")
    events = [Parse(line, pb.Event()) for line in out.splitlines()]
    assert sequences(events) == list(range(1, len(events) + 1))
    streamed = sequences(event for response in watched for event in response.events)
    assert streamed == sequences(events)[: len(streamed)]
    _, out, _ = await server.heddle("show", name, "--json")
    assert Parse(out, pb.Run()).state == pb.RUN_STATE_SUCCEEDED
    _, out, _ = await server.heddle("--json", "ls")
    assert name in {Parse(line, pb.Run()).name.removeprefix("runs/") for line in out.splitlines()}
    _, out, _ = await server.heddle("logs", f"{name}/ui/page", "--json")
    said = [Parse(line, pb.Event()) for line in out.splitlines()]
    assert said[-1].WhichOneof("payload") == "session_finished"


async def test_watch_goes_on_behind_a_sequence(server: Server) -> None:
    """--after omits events up to a sequence."""
    name = await server.begin(QUICK)
    await server.heddle("watch", name)
    code, out, _ = await server.heddle("watch", f"runs/{name}", "--after", "5")
    assert code == 0
    assert out.split()[0] == "6"


async def test_show_and_logs_are_for_people(server: Server) -> None:
    """A run's tasks are listed in planned order; a session's log is plain text."""
    name = await server.begin(QUICK)
    await server.heddle("watch", name)
    _, out, _ = await server.heddle("show", name)
    assert out.index(" one ") < out.index(" two ") < out.index(" page ")
    assert "accepted" in out
    code, out, _ = await server.heddle("logs", f"{name}/ui/page/1")
    assert code == 0
    assert "hello there\n" in out


async def test_same_request_id_is_the_same_run(server: Server) -> None:
    """Two requests with one --request-id create one run; a different plan with the same id is rejected."""
    arguments = ["run", server.plan(QUICK), "--repo", str(server.repository()), "--request-id", "nightly-7"]
    first = await server.heddle(*arguments)
    second = await server.heddle(*arguments)
    assert first[:2] == second[:2]
    assert first[0] == 0
    arguments[1] = server.plan(FAILING)
    code, out, err = await server.heddle(*arguments)
    assert code == 2
    assert out == ""
    assert "request_id" in err or "request id" in err


async def test_a_new_budget(server: Server) -> None:
    """A resume may set a new budget of the run, an epic or a task; a budget of zero is rejected."""
    name = await server.begin(LONG)
    assert (await server.heddle("resume", name, "--budget-usd", "2.3"))[0] == 0
    _, out, _ = await server.heddle("show", name, "--json")
    assert Parse(out, pb.Run()).budget_usd_micros == 2_300_000
    assert (await server.heddle("resume", name, "--of", "api", "--budget-usd", "1"))[0] == 0
    assert (await server.heddle("resume", name, "--of", "api/one", "--budget-usd", "1"))[0] == 0
    _, out, _ = await server.heddle("events", name)
    assert out.count("run resumed with a budget of $1.00") == 2
    code, _, err = await server.heddle("resume", name, "--of", "api")
    assert code == 2
    assert "--budget-usd" in err
    assert (await server.heddle("resume", name, "--budget-usd", "0"))[0] == 2
    assert (await server.heddle("cancel", name))[0] == 0


async def test_steering(server: Server) -> None:
    """A run can be paused and resumed, a session stopped, a task retried, a run cancelled."""
    name = await server.begin(LONG)
    await server.until(name, "api/one/1: session started")
    assert (await server.heddle("pause", name))[:2] == (0, f"{name} paused\n")
    assert (await server.heddle("resume", name))[:2] == (0, f"{name} running\n")
    _, out, _ = await server.heddle("set", name, "--max-parallel", "3", "--json")
    assert Parse(out, pb.Run()).max_parallel == 3
    agent = await _agent_of(server, name)
    code, out, err = await server.heddle("stop", f"{name}/api/one")
    assert (code, out) == (0, f"{name}/epics/api/tasks/one/attempts/1 stopped\n"), err
    assert not psutil.pid_exists(agent)
    assert (await server.heddle("watch", name))[0] == 1
    code, out, err = await server.heddle("retry", f"{name}/api/one")
    assert code == 0, err
    await server.until(name, "api/one/2: session started")
    code, out, err = await server.heddle("cancel", name)
    assert (code, out) == (0, f"{name} cancelled\n"), err
    assert (await server.heddle("watch", name))[0] == 1


async def test_task_is_given_to_another_agent_or_skipped(server: Server) -> None:
    """A failed task is retried with the chosen agent, or skipped, and its epic continues without it."""
    plan = FAILING.replace("script: [{fail: no luck}]", "prompt: do it, agent: 'command:exit 1'")
    name = await server.begin(plan)
    assert (await server.heddle("watch", name))[0] == 1
    code, out, err = await server.heddle("retry", f"{name}/api/one", "--agent", "nosuch")
    assert (code, out) == (2, "")
    assert "not a known agent" in err
    async with server.full():
        code, out, err = await server.heddle("retry", f"{name}/api/one", "--agent", "scripted")
        assert (code, out) == (0, f"{name}/epics/api/tasks/one pending\n"), err
    assert (await server.heddle("watch", name))[0] == 0

    name = await server.begin(plan)
    assert (await server.heddle("watch", name))[0] == 1
    code, out, err = await server.heddle("skip", f"{name}/api/one")
    assert (code, out) == (0, f"{name}/epics/api/tasks/one skipped\n"), err
    _, out, _ = await server.heddle("skip", f"{name}/api/one", "--json")
    assert Parse(out, pb.Task()).reason.startswith("skipped by ")


async def test_accepted_tasks_are_done_again(server: Server) -> None:
    """`retry --from-here` reruns a task and later ones on the earlier commit; old commits stay under a ref."""
    repository = server.repository()
    tasks = "".join(f'{{key: {key}, script: [{{run: "date +%s%N > {key}.txt"}}]}}, ' for key in "abc")
    plan = f"{{name: Again, defaults: {{merge: manual}}, epics: [{{key: api, tasks: [{tasks}]}}]}}"
    code, out, err = await server.heddle("run", server.plan(plan), "--repo", str(repository))
    assert code == 0, err
    name = out.strip()
    await server.until(name, "waits for you to merge it")
    branch, rewound = f"heddle/{name}/epics/api", f"refs/heddle/rewound/{name}/api"
    a, b, c = git(repository, "rev-list", "--reverse", f"main..{branch}").splitlines()
    async with server.full():
        code, out, err = await server.heddle("retry", f"{name}/api/b", "--from-here")
    assert code == 0, err
    set_aside = (
        f"undone: b ({b[:10]}), c ({c[:10]}); once the next attempt starts, they are kept under {rewound}/"
    )
    assert out.splitlines() == [f"{name}/epics/api/tasks/b pending", set_aside]
    async with running("watch", name, env=server.env) as watch:
        await watch.says("api/c/2: accepted")
        await watch.says("waits for you to merge it")
    assert (await server.heddle("merge", f"{name}/api"))[0] == 0
    assert (await server.heddle("watch", name))[0] == 0
    one, two, three = git(repository, "rev-list", "--reverse", f"main..{branch}").splitlines()
    assert (one, {two, three} & {b, c}) == (a, set())
    assert (
        git(repository, "for-each-ref", "--format=%(refname) %(objectname)", rewound) == f"{rewound}/b/2 {c}"
    )
    merged = git(repository, "rev-list", f"heddle/{name}/merged").splitlines()
    assert {a, two, three} <= set(merged)
    assert not {b, c} & set(merged)


async def test_interrupt_detaches_from_a_run(server: Server) -> None:
    """Ctrl-C leaves the run untouched and says how to follow it; a second one prints no error (exit code 130)."""
    arguments = ["run", server.plan(LONG), "--repo", str(server.repository()), "--wait"]
    async with running(*arguments, env=server.env) as command:
        await command.says("api/one/1: session started")
        command.interrupt()
        command.interrupt()
        assert await command.exit_code() in {130, -signal.SIGINT}
        assert "Traceback" not in command.err
    name = command.err.split()[0]
    _, out, _ = await server.heddle("show", name, "--json")
    assert Parse(out, pb.Run()).state == pb.RUN_STATE_RUNNING
    async with running("watch", name, env=server.env) as command:
        await command.says("api/one/1: session started")
        command.interrupt()
        assert await command.exit_code() == 130
        assert "Traceback" not in command.err
    await server.heddle("cancel", name)


async def test_interrupt_says_how_to_come_back(server: Server) -> None:
    """After one Ctrl-C the command names the run to watch."""
    arguments = ["run", server.plan(LONG), "--repo", str(server.repository()), "--wait"]
    async with running(*arguments, env=server.env) as command:
        await command.says("api/one/1: session started")
        command.interrupt()
        assert await command.exit_code() == 130
        name = command.err.split()[0]
        assert f"the run continues; follow it with `heddle watch {name}`" in command.err
    await server.heddle("cancel", name)


async def test_logs_follow_until_the_session_ends(server: Server) -> None:
    """--follow shows an agent's output as it appears, and ends with the session."""
    name = await server.begin(LONG)
    await server.until(name, "api/one/1: session started")
    async with running("logs", f"{name}/api/one", "--follow", env=server.env) as logs:
        await logs.says("begun")
        await server.heddle("cancel", name)
        assert await logs.exit_code() == 0
        assert logs.out.count("begun") == 1


async def test_watch_outlives_the_scheduler(server: Server) -> None:
    """A watch loses no event when the scheduler is killed and restarted."""
    name = await server.begin(LONG)
    async with running("watch", name, env=server.env) as watch:
        await watch.says("api/one/1: session started")
        scheduler = next(each for each in server.up.descendants() if "scheduler_svc" in each.cmdline())
        scheduler.kill()
        await watch.says("lost the connection to the server")
        await watch.says("reconnected to the server")
        await server.heddle("cancel", name)
        assert await watch.exit_code() == 1
        numbers = [int(line.split()[0]) for line in watch.out.splitlines() if line[:5].strip().isdecimal()]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_reader_that_goes_away_is_no_error(server: Server) -> None:
    """`heddle events RUN | head -1` ends quietly: a reader that has closed its end is no failure."""
    name = await server.begin(QUICK)
    await server.heddle("watch", name)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = await asyncio.to_thread(
            subprocess.run,
            [str(HEDDLE), "events", name, "--json"],
            env={**os.environ, **server.env},
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


async def test_other_services_are_not_mistaken_for_the_server(server: Server) -> None:
    """HEDDLE_SCHEDULER with the address of another service is reported, not retried."""
    _, out, _ = await server.heddle("doctor", "--json")
    agent = next(each["subject"] for each in parsed(out) if str(each["subject"]).startswith("agent at "))
    env = {**server.env, "HEDDLE_SCHEDULER": str(agent).removeprefix("agent at ")}
    code, _, err = await run("ls", env=env)
    assert code == 1
    assert "is not a Heddle server" in err


async def test_terminal_gets_a_bar_for_each_epic(server: Server) -> None:
    """On a terminal, each epic has a bar that ends in the epic's state."""
    name = await server.begin(QUICK)
    controller, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        str(HEDDLE),
        "watch",
        name,
        stdout=terminal,
        env={**os.environ, **server.env, "COLUMNS": "100", "TERM": "xterm"},
    )
    os.close(terminal)
    text = await asyncio.to_thread(_read_all, controller)
    assert await process.wait() == 0
    assert "Backend API" in text
    assert "2/2" in text
    assert "━━━" in text
    assert "run created" not in text


def _read_all(controller: int) -> str:
    pieces = []
    # Linux returns EIO once the other end of a terminal is closed.
    with contextlib.suppress(OSError):
        while piece := os.read(controller, 65536):
            pieces.append(piece)
    os.close(controller)
    return b"".join(pieces).decode(errors="replace")


async def test_doctor_sees_services_and_agents(server: Server) -> None:
    """If all services run, no line reports an error. A missing agent is not an error."""
    code, out, err = await server.heddle("doctor")
    assert code == 0, out + err
    assert out.count(" is serving\n") == 4
    assert "agent scripted on workers/" in out
    assert "✗" not in out
    _, out, _ = await server.heddle("doctor", "--json")
    assert all(line["ok"] is not False for line in parsed(out))


async def _agent_of(server: Server, name: str) -> int:
    _, out, _ = await server.heddle("events", name, "--json")
    events = [Parse(line, pb.Event()) for line in out.splitlines()]
    return next(each.session_started.process_id for each in events if each.HasField("session_started"))


async def test_killed_up_ends_its_agents(server: Server, tmp_path: Path) -> None:
    """SIGKILL of `up` leaves no service, agent or check running; the next `up` continues."""
    endpoints = Endpoints(free_base(), tmp_path / "home")
    env = {"HEDDLE_HOME": str(tmp_path / "home"), "HEDDLE_SCHEDULER": endpoints.scheduler.address}
    async with running("up", "--ports", str(endpoints.base), env=env) as up:
        await up.says("Heddle is up")
        other = Server(up, env, server.folder)
        name = await other.begin(LONG)
        await other.until(name, "api/one/1: session started")
        left = up.descendants()
        assert len(left) > 4
        up.process.send_signal(signal.SIGKILL)
        await up.exit_code()
        _, alive = await asyncio.to_thread(psutil.wait_procs, left, 40)
        assert alive == []
    async with running("up", "--ports", str(endpoints.base), env=env) as up:
        await up.says("Heddle is up")
        assert (await run("cancel", name, env=env))[0] == 0
        up.interrupt()
        assert await up.exit_code() == 0


async def test_costs_are_told_level_by_level(server: Server) -> None:
    """Costs are listed by project and run, and below a run by use; an unknown cost is not shown as zero."""
    name = await server.begin(SPENDING)
    await server.heddle("watch", name)

    code, out, err = await server.heddle("costs")
    assert code == 0, err
    assert any(name in line and "~$0.25" in line and "2 models" in line for line in out.splitlines())
    code, out, _ = await server.heddle("costs", name)
    epic = next(line for line in out.splitlines() if line.strip().startswith("api"))
    assert "$1.00" in epic
    assert any("large" in line and "1.2k" in line and "$0.25" in line for line in out.splitlines())
    assert any("odd" in line and "~$" in line for line in out.splitlines())
    _, out, _ = await server.heddle("costs", f"{name}/api/one", "--json")
    task, session = (Parse(line, pb.Cost()) for line in out.splitlines())
    assert task.usage == session.usage
    assert session.name.endswith("/attempts/1")
    assert (await server.heddle("costs", "nope"))[0] == 2
