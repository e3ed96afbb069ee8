"""What the command reports without a server: usage errors, absent servers, plans, the machine."""

import asyncio
import json
import os
import pty
import signal
from pathlib import Path

import pytest

import heddle
from heddle import samples
from tests.support.commands import HEDDLE, run, running

NOWHERE = {"HEDDLE_SCHEDULER": "127.0.0.1:9"}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["frobnicate"], "frobnicate"),
        (["run"], "FILE"),
        (["run", "plan.yaml"], "--repo"),
        (["run", "plan.yaml", "--repo", ".", "--max-parallel", "many"], "--max-parallel"),
        (["show"], "RUN"),
        (["watch", "r", "--after", "-1"], "--after"),
        (["plan", "check"], "FILE"),
        (["ls", "--colour"], "--colour"),
    ],
)
async def test_wrong_usage_exits_2(arguments: list[str], word: str) -> None:
    """Errors name the problem, and nothing is printed to standard output."""
    code, out, err = await run(*arguments, env=NOWHERE)
    assert (code, out) == (2, "")
    assert word in err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["ls"], ["show", "r"], ["watch", "r"], ["cancel", "r"]])
async def test_absent_server_is_told_with_advice(arguments: list[str]) -> None:
    """Without a server every command reports the address it tried and how to start a server."""
    code, out, err = await run(*arguments, env=NOWHERE)
    assert (code, out) == (1, "")
    assert "no Heddle server answers at 127.0.0.1:9" in err
    assert "heddle up" in err
    assert "HEDDLE_SCHEDULER" in err


async def test_wrong_setting_is_named() -> None:
    """A malformed variable exits 2 with its name and form."""
    code, _, err = await run("ls", env={"HEDDLE_SCHEDULER": "nonsense"})
    assert code == 2
    assert "HEDDLE_SCHEDULER is 'nonsense'; it takes host:port" in err


@pytest.mark.parametrize("arguments", [["show", "a/b"], ["retry", "r"], ["stop", "r/e/t/0"], ["logs", "r"]])
async def test_wrong_names_need_no_server(arguments: list[str]) -> None:
    """A malformed name exits 2 before any request is sent."""
    code, _, err = await run(*arguments, env=NOWHERE)
    assert code == 2
    assert "is not a valid" in err
    assert "use RUN" in err


async def test_the_version_is_printed_in_both_forms() -> None:
    """`heddle --version`, which people try first, prints what `heddle version` prints."""
    for arguments in (["--version"], ["version"]):
        assert await run(*arguments, env=NOWHERE) == (0, f"heddle {heddle.__version__}\n", "")


async def test_a_shell_completes_commands() -> None:
    """A shell gets the commands that begin with what was typed, and `--show-completion` prints what asks for them."""
    typed = {"_HEDDLE_COMPLETE": "complete_bash", "COMP_WORDS": "heddle workt", "COMP_CWORD": "1"}
    assert await run(env=NOWHERE | typed) == (0, "worktrees\n", "")
    # Otherwise it looks for the shell from which the tests were started.
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    code, out, _ = await run("--show-completion", "bash", env=NOWHERE | named)
    assert code == 0
    assert "_HEDDLE_COMPLETE=complete_bash" in out


async def test_plan_check_tells_what_a_plan_will_do() -> None:
    """The output contains waves, order, critical path, bounds and duration; no server is needed."""
    code, out, err = await run("plan", "check", str(samples.PLAN), "--max-parallel", "2", env=NOWHERE)
    assert code == 0, err
    assert "1. storage, web-page, sharing, due-dates, export, reminders, tags" in out
    assert out.index("1. schema") < out.index("2. add-and-list") < out.index("3. archive")
    assert "Critical path: storage → web-api → release" in out
    assert "Lower bound with 2 in parallel: " in out
    assert "Estimated duration: " in out


async def test_plan_check_names_overlaps_and_waves(tmp_path: Path) -> None:
    """Epics that expect to write the same paths are reported, unless one depends on the other."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        """
name: Overlapping
epics:
  - {key: a, touches: ["src/**"], tasks: [{key: t, prompt: x}]}
  - {key: b, touches: ["src/b/*"], tasks: [{key: t, prompt: x}]}
  - {key: c, touches: ["src/**"], depends_on: [a, b], tasks: [{key: t, prompt: x}]}
"""
    )
    code, out, _ = await run("plan", "check", str(plan), env=NOWHERE)
    assert code == 0
    assert "1. a, b\n  2. c" in out
    assert "a (src/**) and b (src/b/*)" in out
    assert " and c" not in out
    code, out, _ = await run("plan", "check", str(plan), "--json", env=NOWHERE)
    found = json.loads(out)
    assert found["plan"]["name"] == "Overlapping"
    assert found["analysis"]["waves"] == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"name: [", ""),
        (b"\0\1", "binary"),
        (b"x" * (5 << 20), "4 MiB"),
        (None, "does not exist"),
    ],
)
async def test_what_is_no_plan_is_refused_at_once(tmp_path: Path, content: bytes | None, word: str) -> None:
    """A file that is not a plan exits 2 with its name, whatever its content."""
    path = tmp_path / "plan.yaml"
    if content is not None:
        path.write_bytes(content)
    code, out, err = await run("run", str(path), "--repo", str(tmp_path), env=NOWHERE)
    assert (code, out) == (2, "")
    assert str(path) in err
    assert word in err
    assert "Traceback" not in err


async def test_doctor_works_without_a_server(tmp_path: Path) -> None:
    """On a healthy machine without running services, doctor reports no error and says how to start."""
    code, out, err = await run("doctor", env={**NOWHERE, "HEDDLE_HOME": str(tmp_path / "home")})
    assert code in {0, 1}, err
    assert "✓ git: " in out
    assert "✓ SQLite: " in out
    assert "✓ data folder: " in out


async def test_doctor_names_what_to_mend(tmp_path: Path) -> None:
    """Too little disk space and an unwritable folder are reported, each with a fix."""
    (tmp_path / "file").touch()
    env = {**NOWHERE, "HEDDLE_HOME": str(tmp_path / "file" / "home"), "HEDDLE_MIN_FREE_BYTES": str(1 << 60)}
    code, out, err = await run("doctor", env=env)
    assert code == 1
    assert "✗ disk: " in out
    assert "HEDDLE_MIN_FREE_BYTES" in out
    assert "✗ data folder: cannot write to" in out
    assert "Traceback" not in err


async def test_version() -> None:
    """The version is the package's, as text and as JSON, with --json on either side."""
    assert (await run("version", env={}))[:2] == (0, f"heddle {heddle.__version__}\n")
    for arguments in (["version", "--json"], ["--json", "version"]):
        _, out, _ = await run(*arguments, env={})
        assert json.loads(out) == {"version": heddle.__version__}


async def test_closed_output_is_quiet() -> None:
    """A reader that closes the pipe before the first line causes no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        str(HEDDLE), "plan", "check", str(samples.PLAN), stdout=writer, stderr=asyncio.subprocess.PIPE
    )
    os.close(writer)
    _, err = await process.communicate()
    assert err == b""


@pytest.mark.parametrize("wait", [0.05, 0.15, 0.3, 0.6])
async def test_interrupt_is_quiet_from_the_start(wait: float) -> None:
    """Ctrl-C while the command loads, or connects to its server, leaves no traceback."""
    async with running("watch", "r", env=NOWHERE, cold=True) as command:
        # This does not wait for anything: the moment itself is what varies.
        await asyncio.sleep(wait)
        command.interrupt()
        assert await command.exit_code() in {130, 1, -signal.SIGINT}
        assert "heddle/cli" not in command.err


async def test_terminal_gets_colours_and_width() -> None:
    """On a terminal, the help fits the width."""
    controller, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        str(HEDDLE), "--help", stdout=terminal, stderr=terminal, env={**os.environ, "COLUMNS": "70"}
    )
    os.close(terminal)
    assert await process.wait() == 0
    text = os.read(controller, 65536).decode()
    os.close(controller)
    assert "\x1b[" in text


async def test_plan_simulate_plays_a_plan_for_each_number(tmp_path: Path) -> None:
    """`plan simulate` prints a table, or a JSON line per number; an invalid number is a usage error."""
    plan = tmp_path / "plan.yaml"
    tasks = "tasks: [{key: t, script: [{say: hi}], estimate: 2m}]"
    plan.write_text(f"name: Two\nepics:\n  - {{key: a, {tasks}}}\n  - {{key: b, {tasks}}}\n")
    code, out, err = await run("plan", "simulate", str(plan), "--max-parallel", "1,2", "--json", env=NOWHERE)
    assert code == 0, err
    assert [json.loads(line)["makespan"] for line in out.splitlines()] == [240, 120]
    code, out, err = await run("plan", "simulate", str(plan), env=NOWHERE)
    assert "2m 00s" in out
    code, out, err = await run("plan", "simulate", str(plan), "--max-parallel", "4,x", env=NOWHERE)
    assert (code, out) == (2, "")
    assert "--max-parallel takes numbers" in err
