"""`heddle up` with stand-ins for the services: how it starts, monitors and stops them."""

import asyncio
import itertools
import json
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from heddle.cli.admin import ports
from heddle.cli.admin.health import is_serving, is_web_serving
from heddle.cli.admin.ports import Endpoints
from heddle.rpc.channels import open_channel
from tests.support.commands import DEADLINE, Command, gone, run, running
from tests.support.fake_services import write_services
from tests.support.ports import free_base
from tests.support.repositories import git, make_repository

DIES = "raise SystemExit('no database')"
DIES_ONCE = """
died = settings.home / "died"
if not died.exists():
    died.touch()
    raise SystemExit('first time')
"""
STAYS = """
import signal, subprocess, threading, time
subprocess.Popen(["sleep", "1000"], start_new_session=True)
logs.structlog.get_logger().warning("will stay")
threading.Thread(target=time.sleep, args=(1000,)).start()
"""

_numbers = itertools.count(1)


@pytest.fixture
def endpoints() -> Endpoints:
    return Endpoints(free_base(), Path("/nowhere"))


def below(endpoints: Endpoints, env: Mapping[str, str]) -> Endpoints:
    """Returns the endpoints of an `up` with that environment."""
    return Endpoints(endpoints.base, Path(env["HEDDLE_HOME"]))


def environment(folder: Path, **preludes: str) -> dict[str, str]:
    """Returns the environment of an `up` with its own home and stand-ins."""
    number = next(_numbers)
    services = write_services(folder / f"services-{number}", **preludes)
    return {"HEDDLE_HOME": str(folder / f"home-{number}"), "PYTHONPATH": str(services)}


def by_name(command: Command, name: str) -> psutil.Process:
    return next(each for each in command.descendants() if f"{name}_svc" in each.cmdline())


async def listens(address: str) -> None:
    """Returns once a service accepts connections at `address`; gRPC tries again by itself until it does."""
    async with asyncio.timeout(DEADLINE), open_channel(address) as channel:
        await channel.channel_ready()


async def test_starts_all_and_says_where(tmp_path: Path, endpoints: Endpoints) -> None:
    """All four services serve once `up` says so, and the first Ctrl-C stops all of them."""
    env = environment(tmp_path)
    async with running("up", "--ports", str(endpoints.base), env=env) as up:
        await up.says("Heddle is up")
        await up.says(f"export HEDDLE_SCHEDULER={endpoints.scheduler.address}")
        assert endpoints.board in up.out
        assert await is_serving(endpoints.scheduler.address)
        assert await is_serving(below(endpoints, env).worktree.address)
        assert await is_serving(below(endpoints, env).agent.address)
        assert await is_web_serving(endpoints.ui.address)
        children = up.descendants()
        up.interrupt()
        assert await up.exit_code() == 0
        assert await gone(children) == []
        assert "Traceback" not in up.out + up.err


async def test_two_run_side_by_side(tmp_path: Path, endpoints: Endpoints) -> None:
    """A second `up` with its own folder and ports does not disturb the first."""
    other = Endpoints(free_base(), Path("/nowhere"))
    async with (
        running("up", "--ports", str(endpoints.base), "--json", env=environment(tmp_path)) as first,
        running("up", "--ports", str(other.base), "--json", env=environment(tmp_path)) as second,
    ):
        await first.says("}")
        await second.says("}")
        assert json.loads(first.out)["scheduler"] == endpoints.scheduler.address
        assert json.loads(second.out)["board"] == other.board
        second.interrupt()
        assert await second.exit_code() == 0
        assert await is_serving(endpoints.scheduler.address)


async def test_port_in_use_is_refused(tmp_path: Path, endpoints: Endpoints) -> None:
    """The error names the port and what to do, and nothing starts."""
    with socket.create_server(("127.0.0.1", endpoints.ui.port)):
        code, out, err = await run("up", "--ports", str(endpoints.base), env=environment(tmp_path))
    assert code == 1
    assert f"port {endpoints.ui.port} (ui) is in use" in err
    assert "heddle up --ports" in err
    assert out == ""


async def test_second_on_the_same_home_is_refused(tmp_path: Path, endpoints: Endpoints) -> None:
    """A second `up` on the same home names the first and starts nothing."""
    env = environment(tmp_path)
    async with running("up", "--ports", str(endpoints.base), env=env) as first:
        await first.says("Heddle is up")
        code, _, err = await run("up", "--ports", str(free_base()), env=env)
        assert code == 1
        assert f"in use by a Heddle at {endpoints.scheduler.address} (pid {first.process.pid})" in err
        assert "HEDDLE_HOME=" in err


@pytest.mark.parametrize("base", ["0", "65535", "x"])
async def test_wrong_ports_are_bad_usage(base: str) -> None:
    """A BASE with fewer than four ports above it exits 2."""
    code, _, err = await run("up", "--ports", base, env={})
    assert code == 2
    assert "--ports" in err


async def test_service_that_dies_is_started_again(tmp_path: Path, endpoints: Endpoints) -> None:
    """A killed service is restarted, and the operator is informed."""
    env = environment(tmp_path)
    async with running("up", "--ports", str(endpoints.base), env=env) as up:
        await up.says("Heddle is up")
        by_name(up, "worktree").kill()
        await up.says("worktree ended (signal SIGKILL); restarting it")
        await listens(below(endpoints, env).worktree.address)
        assert await is_serving(below(endpoints, env).worktree.address)
        up.interrupt()
        assert await up.exit_code() == 0


async def test_service_that_dies_while_starting_gets_another_chance(
    tmp_path: Path, endpoints: Endpoints
) -> None:
    """One failed start is not enough to give up."""
    env = environment(tmp_path, scheduler=DIES_ONCE)
    async with running("up", "--ports", str(endpoints.base), env=env) as up:
        await up.says("scheduler ended (exit code 1); restarting it")
        await up.says("Heddle is up")
        assert await is_serving(endpoints.scheduler.address)
        assert (up.out + up.err).count("restarting it") == 1
        up.interrupt()
        assert await up.exit_code() == 0


async def test_service_that_keeps_dying_ends_it_all(tmp_path: Path, endpoints: Endpoints) -> None:
    """After three quick exits `up` stops everything and shows the service's last output."""
    env = environment(tmp_path, scheduler=DIES)
    code, out, err = await run("up", "--ports", str(endpoints.base), env=env)
    assert code == 1
    assert "scheduler ended 3 times within seconds (exit code 1)" in err
    assert "  no database" in err
    assert "Traceback" not in err
    assert out == ""
    assert ports.taken(endpoints) == []


async def test_warnings_reach_the_operator_and_the_rest_the_log(tmp_path: Path, endpoints: Endpoints) -> None:
    """The terminal shows only warnings; the log files contain everything."""
    env = environment(tmp_path, agent='logs.structlog.get_logger().warning("disk_low", free=3)')
    async with running("up", "--ports", str(endpoints.base), env=env) as up:
        await up.says("disk_low")
        await up.says("Heddle is up")
        up.interrupt()
        assert await up.exit_code() == 0
        assert "[info" not in up.err
        log = (Path(env["HEDDLE_HOME"]) / "logs" / "agent.log").read_text()
        assert "serving" in log
        assert "disk_low" in log
        assert all(line.startswith("agent: ") for line in log.splitlines())


def sleeps_among(processes: list[psutil.Process]) -> bool:
    """Returns whether one of the processes is a `sleep`; some may have ended since they were listed."""
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            if each.name() == "sleep":
                return True
    return False


@pytest.fixture
def hears_its_terminal_close() -> Iterator[None]:
    """Enables SIGHUP in a started program, even if the tests themselves were started with nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hears_its_terminal_close")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_other_signals_drain_too(tmp_path: Path, endpoints: Endpoints, number: signal.Signals) -> None:
    """SIGTERM from a service manager and a closed terminal stop `up` as Ctrl-C does."""
    async with running("up", "--ports", str(endpoints.base), env=environment(tmp_path)) as up:
        await up.says("Heddle is up")
        children = up.descendants()
        up.process.send_signal(number)
        assert await up.exit_code() == 0
        assert await gone(children) == []


async def test_second_interrupt_forces(tmp_path: Path, endpoints: Endpoints) -> None:
    """A second Ctrl-C kills a service that does not drain, with all its processes and without a traceback."""
    env = environment(tmp_path, agent=STAYS)
    async with running("up", "--ports", str(endpoints.base), env=env) as up:
        await up.says("will stay")
        await up.says("Heddle is up")
        children = up.descendants()
        assert sleeps_among(children)
        scheduler = by_name(up, "scheduler")
        up.interrupt()
        assert await gone([scheduler]) == []
        assert up.process.poll() is None
        up.interrupt()
        assert await up.exit_code() == 130
        assert await gone(children) == []
        assert "Traceback" not in up.out + up.err


async def test_interrupt_while_starting(tmp_path: Path, endpoints: Endpoints) -> None:
    """Ctrl-C before all services serve stops those that have started."""
    env = environment(tmp_path, scheduler="import time; time.sleep(1000)")
    async with running("up", "--ports", str(endpoints.base), env=env) as up:
        await up.says("starting the services")
        await listens(below(endpoints, env).agent.address)
        children = up.descendants()
        assert len(children) == 4
        up.interrupt()
        assert await up.exit_code() == 0
        assert await gone(children) == []
        assert "Traceback" not in up.out + up.err


async def test_killed_up_leaves_no_process(tmp_path: Path, endpoints: Endpoints) -> None:
    """After SIGKILL of `up`, which prevents cleanup, the services notice and stop."""
    async with running("up", "--ports", str(endpoints.base), env=environment(tmp_path)) as up:
        await up.says("Heddle is up")
        children = up.descendants()
        assert len(children) == 4
        os.kill(up.process.pid, signal.SIGKILL)
        assert await gone(children) == []


async def test_next_up_waits_for_what_a_killed_one_left(tmp_path: Path, endpoints: Endpoints) -> None:
    """The next `up` waits for services that still drain, and does not mistake them for another program."""
    env = environment(tmp_path)
    async with running("up", "--ports", str(endpoints.base), env=env) as first:
        await first.says("Heddle is up")
        stopped = by_name(first, "agent")
        stopped.suspend()
        os.kill(first.process.pid, signal.SIGKILL)
        await first.exit_code()
    async with running("up", "--ports", str(endpoints.base), env=env) as second:
        await second.says("waiting for the services of an `up` that was killed")
        stopped.resume()
        await second.says("Heddle is up")
        second.interrupt()
        assert await second.exit_code() == 0


async def test_unwritable_home_is_told(tmp_path: Path, endpoints: Endpoints) -> None:
    """If a data folder cannot be created, the error names it and says what to do."""
    (tmp_path / "file").touch()
    env = {"HEDDLE_HOME": str(tmp_path / "file" / "home")}
    code, _, err = await run("up", "--ports", str(endpoints.base), env=env)
    assert code == 1
    assert "cannot write to" in err
    assert "HEDDLE_HOME" in err


async def test_folder_named_like_a_package_is_ignored(tmp_path: Path, endpoints: Endpoints) -> None:
    """Files in the working directory do not affect which code the services run."""
    (tmp_path / "heddle").mkdir()
    (tmp_path / "heddle" / "__init__.py").write_text("raise SystemExit('wrong heddle')")
    env = environment(tmp_path)
    async with running("up", "--ports", str(endpoints.base), env=env, cwd=tmp_path) as up:
        await up.says("Heddle is up")
        assert await is_serving(endpoints.scheduler.address)
        assert await is_web_serving(endpoints.ui.address)
        assert "wrong heddle" not in up.out + up.err
        up.interrupt()
        assert await up.exit_code() == 0


async def test_disk_below_its_mark_takes_no_work(tmp_path: Path, endpoints: Endpoints) -> None:
    """With too little disk space a run starts nothing and can be cancelled; nothing is changed."""
    plan = tmp_path / "plan.yaml"
    plan.write_text("name: Full\nepics:\n  - {key: a, tasks: [{key: t, script: [{say: hi}]}]}\n")
    repository = make_repository(tmp_path / "repository")
    env = {
        "HEDDLE_HOME": str(tmp_path / "home"),
        "HEDDLE_MIN_FREE_BYTES": str(1 << 60),
        "HEDDLE_SCHEDULER": endpoints.scheduler.address,
    }
    async with running("up", "--ports", str(endpoints.base), env=env) as up:
        await up.says("Heddle is up")
        code, name, err = await run("run", str(plan), "--repo", str(repository), env=env)
        assert code == 0, err
        code, _, err = await run("cancel", name.strip(), env=env)
        assert code == 0, err
        assert git(repository, "branch", "--format=%(refname:short)") == "main"
        up.interrupt()
        assert await up.exit_code() == 0


async def test_next_up_goes_on_with_what_the_one_before_interrupted(
    tmp_path: Path, endpoints: Endpoints
) -> None:
    """SIGTERM during a run leaves no process; after the next start, the task is retried and the run ends."""
    plan = tmp_path / "plan.yaml"
    agent = "case $HEDDLE_ATTEMPT in 1) setsid sleep 600 & sleep 600;; esac; echo x > x.txt"
    plan.write_text(
        f"name: Long\ndefaults: {{agent: 'command:{agent}'}}\nepics: [{{key: a, tasks: [{{key: t, prompt: Go}}]}}]\n"
    )
    repository = make_repository(tmp_path / "repository")
    env = {"HEDDLE_HOME": str(tmp_path / "home"), "HEDDLE_SCHEDULER": endpoints.scheduler.address}
    ports_of = ("--ports", str(endpoints.base))
    async with running("up", *ports_of, env=env) as first:
        await first.says("Heddle is up")
        code, created, err = await run("run", str(plan), "--repo", str(repository), "--json", env=env)
        assert code == 0, err
        children = first.descendants()
        while not sleeps_among(children):
            await asyncio.sleep(0.05)  # an agent's processes send no notification
            children = first.descendants()
        first.process.send_signal(signal.SIGTERM)
        assert await first.exit_code() == 0
        assert await gone(children) == []
    async with running("up", *ports_of, env=env) as second:
        await second.says("Heddle is up")
        code, out, err = await run("watch", json.loads(created)["name"], env=env)
        assert code == 0, out + err
        second.interrupt()
        assert await second.exit_code() == 0
