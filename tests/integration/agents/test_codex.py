"""The real codex against a scripted model."""

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from agent_svc.agents.base import protocol
from agent_svc.agents.base.host_driver import HostTranslator
from heddle import pb
from tests.support.agents import DEADLINE, all_gone, attempt_name, ending, output, own_sleep, payloads
from tests.support.codex import KEY, codex
from tests.support.models.turns import Call, Failure, Turn
from tests.support.ports import free_ports


def bash(command: str) -> Call:
    return Call("Bash", {"command": command})


def said(events: list[pb.Event]) -> list[str]:
    return [event.message.text for event in payloads(events, "message")]


def results(events: list[pb.Event]) -> list[tuple[bool, str]]:
    return [
        (event.tool_finished.ok, event.tool_finished.result) for event in payloads(events, "tool_finished")
    ]


def kill_codex() -> None:
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() == "codex":
                process.kill()


async def test_work_is_told_as_it_happens(tmp_path: Path) -> None:
    """Thinking, text, tool calls with results, files, and the usage of each call are reported as events."""
    async with codex(tmp_path) as it:
        answers = [
            Turn("I will look.", thinking="What is here?", calls=[bash('echo "it\'s $HOME"; exit 3')]),
            Turn(calls=[Call("Write", {"file_path": "docs/a.txt", "content": "one\ntwo"})]),
            Turn("All **done**."),
        ]
        it.model.play(answers, "Do it")
        events = await it.worker.run("codex", environment=it.environment)
    assert ending(events) == ("SUCCEEDED", "")
    assert said(events) == ["What is here?", "I will look.", "All **done**."]
    started = [event.tool_started for event in payloads(events, "tool_started")]
    assert [(tool.name, tool.target, tool.kind) for tool in started] == [
        ("Bash", 'echo "it\'s $HOME"; exit 3', pb.TOOL_KIND_COMMAND),
        ("Write", "docs/a.txt", pb.TOOL_KIND_EDIT),
    ]
    assert started[1].input == "one\ntwo"
    assert results(events) == [(False, f"exit code 3\nit's {tmp_path}\n"), (True, "")]
    assert not output(events), "what a command prints is stored once"
    assert (it.worker.worktree / "docs/a.txt").read_text() == "one\ntwo\n"
    used = [event.usage for event in payloads(events, "usage")]
    assert (used[0].context_tokens, used[0].context_window) == (1100, 258_400)
    assert [(each.model, each.input_tokens, each.output_tokens) for each in used] == [
        ("gpt-5.5", 1000, 100)
    ] * 3
    # codex reports no cost; it is computed from the price table.
    assert all(each.estimated and each.cost_usd_micros for each in used)


async def test_is_told_of_commands_that_its_turn_cut_off(tmp_path: Path) -> None:
    """A command that still runs when a turn ends is stopped and reported, and codex can run it again."""
    slow = "sleep 5; echo x > late.txt"
    early = Call("exec_command", {"cmd": slow, "yield_time_ms": 250})
    async with codex(tmp_path) as it:
        answers = [
            Turn(calls=[early]),
            Turn("It runs."),
            Turn(calls=[bash("echo x > late.txt")]),
            Turn("Done."),
        ]
        it.model.play(answers, "Do it")
        events = await it.worker.run(
            "codex", environment=it.environment, checks={"there": "cat late.txt"}, background_wait=60
        )
        assert "were stopped with it" in json.dumps(it.model.requests[-1])
    assert ending(events) == ("SUCCEEDED", "")
    (work,) = payloads(events, "background_work")
    assert list(work.background_work.stopped) == [slow]


async def test_a_model_that_refuses_is_a_failure(tmp_path: Path) -> None:
    """A refusal fails the session: codex exits with success, but without an answer or a tool call."""
    async with codex(tmp_path, [Turn("I will not do that.", refuses=True)]) as it:
        events = await it.worker.run("codex", environment=it.environment)
    outcome, reason = ending(events)
    assert outcome == "FAILED"
    assert "without an answer of its model" in reason
    assert len(payloads(events, "usage")) == 1


async def test_sandbox_holds(tmp_path: Path) -> None:
    """A command reaches neither the network, files outside the worktree, nor the model's key."""
    outside = tmp_path / "outside"
    async with codex(tmp_path) as it:
        probe = f"(echo x > {shlex.quote(str(outside))}) 2>/dev/null; curl -s {it.model.url} || echo cut off"
        it.model.play([Turn(calls=[bash(f"{probe}; echo key=${KEY}")])], "Do it")
        events = await it.worker.run("codex", environment=it.environment)
        assert len(it.model.requests) == 2
        assert it.model.headers[0]["authorization"] == "Bearer scripted"
    assert ending(events) == ("SUCCEEDED", "")
    assert results(events)[0][1].endswith("cut off\nkey=\n")
    assert not outside.exists()


async def test_denied_writing_makes_it_read_only(tmp_path: Path) -> None:
    """If the plan denies writing, codex writes nothing; the log names rules that codex cannot enforce."""
    async with codex(tmp_path) as it:
        commands = ["echo x > file; echo went on", "touch other", "echo and on"]
        it.model.play([Turn(calls=[bash(command)]) for command in commands], "Do it")
        permissions = pb.Permissions(deny=["Edit", "Bash(git push:*)"])
        events = await it.worker.run("codex", environment=it.environment, permissions=permissions)
    assert ending(events) == ("SUCCEEDED", "")
    # codex itself does not report the second command, because its sandbox rejected it at once.
    started = [event.tool_started.target for event in payloads(events, "tool_started")]
    assert started == commands
    assert [ok for ok, _ in results(events)] == [True, False, True]
    assert "Read-only file system" in results(events)[1][1]
    assert "went on" in results(events)[0][1]
    assert list(it.worker.worktree.iterdir()) == []
    assert "does not keep: deny Bash(git push:*)" in output(events, pb.OUTPUT_STREAM_SYSTEM)


async def test_long_and_broken_output(tmp_path: Path) -> None:
    """A 5 MB line and bytes that are not UTF-8 are accepted; codex itself keeps 1 MiB of a line."""
    async with codex(tmp_path) as it:
        commands = [r"printf 'a\377b\n'", r"head -c 5000000 /dev/zero | tr '\0' x"]
        it.model.play([Turn(calls=[bash(command)]) for command in commands], "Do it")
        events = await it.worker.run("codex", environment=it.environment)
    assert ending(events) == ("SUCCEEDED", "")
    assert results(events)[0][1] == "a\ufffdb\n"
    assert output(events).startswith("xxxx")
    assert len(output(events)) >= 1 << 20
    assert all(event.ByteSize() < 256 << 10 for event in events)


async def test_stop_ends_the_tree(tmp_path: Path) -> None:
    """If it is stopped during a command, codex and all its processes end."""
    sleep = own_sleep(7301)
    async with codex(tmp_path) as it:
        it.model.play([Turn(calls=[bash(sleep)])], "Do it")
        attempt = await it.worker.start("codex", environment=it.environment)
        await it.worker.until(attempt, lambda event: event.HasField("tool_started"))
        session = await it.worker.stop(attempt, grace=5)
        await all_gone(sleep)
        events = await it.worker.events(attempt)
    assert session.result.outcome == pb.OUTCOME_STOPPED
    assert ending(events) == ("STOPPED", "the test says so")


async def test_killed_codex_goes_on(tmp_path: Path) -> None:
    """A killed codex is restarted and resumes its own session."""
    async with codex(tmp_path) as it:
        it.model.play([Turn(calls=[bash("sleep 7302")]), Turn("On we go.")], "Do it")
        attempt = await it.worker.start("codex", environment=it.environment)
        await it.worker.until(attempt, lambda event: event.HasField("tool_started"))
        kill_codex()
        events = await it.worker.events(attempt)
        told = str(it.model.requests[-1]["input"])
    assert ending(events) == ("SUCCEEDED", "")
    assert results(events) == [(False, "the turn ended before it did")]
    assert said(events) == ["On we go."]
    assert "ended by SIGKILL" in output(events, pb.OUTPUT_STREAM_SYSTEM)
    assert "sleep 7302" in told
    assert "Your session was interrupted and is resumed now. Your files are as you left them." in told


async def test_codex_that_is_killed_again_and_again(tmp_path: Path) -> None:
    """If codex is killed repeatedly, the session fails."""
    async with codex(tmp_path, [Turn(calls=[bash("sleep 7303")])] * 9) as it:
        attempt = await it.worker.start("codex", environment=it.environment)
        events = []
        async for event in it.worker.watch(attempt):
            events.append(event)
            if event.HasField("tool_started"):
                kill_codex()
    assert ending(events)[0] == "FAILED"
    assert "codex ended by SIGKILL before its turn was over" in ending(events)[1]
    assert [result for result, _ in results(events)] == [False] * 3


async def test_stopped_session_is_resumed(tmp_path: Path) -> None:
    """The next attempt continues the work that codex did before it was stopped."""
    async with codex(tmp_path) as it:
        it.model.play([Turn(calls=[bash("sleep 7304")]), Turn("On we go.")], "Do it")
        attempt = await it.worker.start("codex", environment=it.environment)
        await it.worker.until(attempt, lambda event: event.HasField("tool_started"))
        await it.worker.stop(attempt, grace=5)
        events = await it.worker.run("codex", number=2, environment=it.environment, resume=attempt)
        told = str(it.model.requests[-1]["input"])
    assert ending(events) == ("SUCCEEDED", "")
    assert said(events) == ["On we go."]
    assert "sleep 7304" in told


async def test_usage_is_reported_once(tmp_path: Path) -> None:
    """An attempt that resumes a session reports only the usage that was not reported before."""
    async with codex(tmp_path) as it:
        first = await it.worker.start("codex", environment=it.environment)
        events = await it.worker.events(first)
        events += await it.worker.run("codex", number=2, environment=it.environment, resume=first)
    assert [event.usage.input_tokens for event in payloads(events, "usage")] == [1000, 1000]


async def test_lost_session_begins_again(tmp_path: Path) -> None:
    """If codex no longer has the session to resume, a new one does the work."""
    async with codex(tmp_path) as it:
        first = await it.worker.start("codex", environment=it.environment)
        await it.worker.events(first)
        it.forget()
        events = await it.worker.run("codex", number=2, environment=it.environment, resume=first)
    assert ending(events) == ("SUCCEEDED", "")
    assert "a new one starts" in output(events, pb.OUTPUT_STREAM_SYSTEM)
    assert said(events) == ["Done."]


@pytest.mark.parametrize(
    ("failure", "ended", "reason"),
    [
        (Failure(401, "bad key"), "UNAUTHORIZED", "refused codex (HTTP 401): log in with `codex login`"),
        (
            Failure(429, headers={"retry-after": "0"}),
            "RATE_LIMITED",
            "rate limit of the model's API is reached (HTTP 429)",
        ),
        (Failure(529, "overloaded"), "RATE_LIMITED", "overloaded or down (HTTP 529)"),
        (
            Failure(429, error={"type": "insufficient_quota", "code": "insufficient_quota"}),
            "OUT_OF_CREDIT",
            "the account has no credit left",
        ),
        (Failure(503, "down"), "PROVIDER_UNAVAILABLE", "overloaded or down (HTTP 503)"),
        (Failure(500, "broken"), "PROVIDER_UNAVAILABLE", "high demand"),
        (Failure(400, "no such thing"), "FAILED", "codex failed: no such thing"),
    ],
)
async def test_failures_of_the_api_are_plain(
    tmp_path: Path, failure: Failure, ended: str, reason: str
) -> None:
    """If the model's API fails, the session fails with a reason that says what to do."""
    async with codex(tmp_path, [failure]) as it:
        events = await it.worker.run("codex", environment=it.environment)
    outcome, why = ending(events)
    assert outcome == ended
    assert reason in why


async def test_commands_do_not_get_the_log_level_of_codex(tmp_path: Path) -> None:
    """What Heddle makes codex log does not change what the programs log that codex runs."""
    async with codex(tmp_path) as it:
        it.model.play([Turn(calls=[bash("echo level=$RUST_LOG")]), Turn("Done.")], "")
        first = await it.worker.run("codex", environment=it.environment)
        it.model.play([Turn(calls=[bash("echo level=$RUST_LOG")]), Turn("Done.")], "")
        environment = {**it.environment, "RUST_LOG": "off"}
        second = await it.worker.run("codex", number=2, environment=environment)
    assert results(first) == [(True, "level=\n")]
    assert results(second) == [(True, "level=off\n")]


async def test_an_unreachable_api_is_an_outage(tmp_path: Path) -> None:
    """If the model's API is unreachable, codex does not retry forever."""
    async with codex(tmp_path) as it:
        it.configure(f"http://127.0.0.1:{free_ports(1)[0]}/v1")
        events = await it.worker.run("codex", environment={**it.environment, "HEDDLE_CODEX_PATIENCE": "0.2"})
    outcome, why = ending(events)
    assert outcome == "PROVIDER_UNAVAILABLE"
    assert "could not connect to the model's API for 0.2 s" in why


async def test_the_limit_of_a_subscription_ends_at_its_time(tmp_path: Path) -> None:
    """A used-up subscription counts as a rate limit until the minute after the time that codex gives."""
    resets_at = int(time.time()) + 7200
    error = {"type": "usage_limit_reached", "plan_type": "plus", "resets_at": resets_at}
    async with codex(tmp_path, [Failure(429, error=error)]) as it:
        events = await it.worker.run("codex", environment=it.environment)
    assert ending(events)[0] == "RATE_LIMITED"
    assert 0 <= events[-1].session_finished.retry_time.seconds - resets_at <= 60


def _user_namespaces_nest() -> bool:
    return subprocess.run(["unshare", "-Ur", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare")
async def test_sandbox_that_cannot_start(tmp_path: Path) -> None:
    """If codex's sandbox cannot start, the session fails with a reason that says what to allow."""
    if not _user_namespaces_nest():
        pytest.skip("user namespaces are not allowed here")
    async with codex(tmp_path, [Turn(calls=[bash("echo hi")])], HEDDLE_SANDBOX="off") as it:
        # A namespace in which no other namespace can be created.
        real = it.environment["PATH"].split(os.pathsep, maxsplit=1)[0]
        wrapper = tmp_path / "bin" / "codex"
        wrapper.parent.mkdir()
        closed = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
        wrapper.write_text(f"#!/bin/sh\nexec unshare -Ur sh -c '{closed}' sh {real}/codex \"$@\"\n")
        wrapper.chmod(0o755)
        path = f"{wrapper.parent}{os.pathsep}{it.environment['PATH']}"
        async with asyncio.timeout(DEADLINE):
            events = await it.worker.run("codex", environment={**it.environment, "PATH": path})
    outcome, why = ending(events)
    assert outcome == "FAILED"
    assert "sandbox cannot start" in why
    assert "user.max_user_namespaces" in why


async def test_missing_program(tmp_path: Path) -> None:
    """Without codex, the session fails with a reason that says how to install it."""
    async with codex(tmp_path) as it:
        events = await it.worker.run("codex", environment={**it.environment, "PATH": "/usr/bin:/bin"})
    assert ending(events)[0] == "FAILED"
    assert "npm install -g @openai/codex" in ending(events)[1]


async def test_words_of_the_operator_are_the_next_turn(tmp_path: Path) -> None:
    """A message of the operator during a turn becomes codex's next turn in the same session."""
    async with codex(tmp_path) as it:
        answers = [Turn(calls=[bash("while [ ! -e go ]; do sleep 0.05; done")]), Turn("One."), Turn("Two.")]
        it.model.play(answers, "Do it")
        request = pb.StartSessionRequest(attempt=attempt_name(), agent="codex", prompt="Do it")
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        host = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "agent_svc.agents.codex",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**it.environment, "TMPDIR": str(scratch)},
            cwd=it.worker.worktree,
        )
        assert host.stdin is not None
        assert host.stdout is not None
        host.stdin.write(protocol.opening(request))
        told = HostTranslator()
        events: list[pb.Event] = []
        sent = 0
        async with asyncio.timeout(DEADLINE):
            while data := await host.stdout.read(1 << 16):
                found = told.stdout(data)
                events += found
                if payloads(found, "tool_started"):
                    for words in ("Use tabs.", "And be quick."):
                        said_so = pb.Message(kind=pb.MESSAGE_KIND_OPERATOR, text=words)
                        host.stdin.write(protocol.line_of(pb.Event(message=said_so)))
                        sent += 1
                    await host.stdin.drain()
                    (it.worker.worktree / "go").touch()
                if told.closing == sent:
                    host.stdin.write(protocol.closed())
            assert await host.wait() == 0
        host.stdin.close()
    assert said(events) == ["One.", "Two."]
    assert "Use tabs.\\n\\nAnd be quick." in json.dumps(it.model.requests[2]["input"][-1])
    assert [event.usage.input_tokens for event in payloads(events, "usage")] == [1000, 1000, 1000]
