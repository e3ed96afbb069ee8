"""The ACP host with a test agent that does what real agents rarely do."""

import base64
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agent_svc.agents.scripted.picture import draw
from heddle import pb
from tests.support.agents import Agents, agents, attempt_name, ending, output, payloads, seconds

AGENT = f"acp:{sys.executable} -P {Path(__file__).parents[2] / 'support' / 'acp_agent.py'}"


@pytest_asyncio.fixture(name="worker")
async def _worker(tmp_path: Path) -> AsyncIterator[Agents]:
    async with agents(tmp_path) as worker:
        yield worker


async def begin(worker: Agents, *steps: str, flags: str = "", number: int = 1, **asked: Any) -> str:
    """Starts a session that plays `steps`, and returns the attempt's name."""
    request = pb.StartSessionRequest(
        attempt=attempt_name(number=number),
        epoch=1,
        agent=f"{AGENT} {flags}",
        prompt="\n".join(steps),
        **asked,
    )
    await worker.stub.StartSession(request)
    return request.attempt


async def play(worker: Agents, *steps: str, **asked: Any) -> list[pb.Event]:
    return await worker.events(await begin(worker, *steps, **asked))


def said(events: list[pb.Event]) -> str:
    return "".join(event.message.text for event in events if event.message.kind == pb.MESSAGE_KIND_TEXT)


def notes(events: list[pb.Event]) -> str:
    return output(events, pb.OUTPUT_STREAM_SYSTEM)


async def test_words_and_usage(worker: Agents) -> None:
    """A message ends with a marked piece; cost is reported as differences, tokens for each turn."""
    events = await play(worker, "say Hello", "spend 0.01", "spend 0.005")
    assert said(events) == "Hello"
    assert [event.message.last for event in payloads(events, "message")][-1]
    usage = [event.usage for event in payloads(events, "usage")]
    assert [used.cost_usd_micros for used in usage] == [10_000, 5_000, 0]
    assert (usage[-1].model, usage[-1].input_tokens, usage[-1].output_tokens) == ("small", 10, 20)
    assert ending(events) == ("SUCCEEDED", "")


@pytest.mark.parametrize(("approved", "answer"), [(True, "yes"), (False, "no")])
async def test_the_operator_is_asked(worker: Agents, approved: bool, answer: str) -> None:
    """A request that the policy does not decide waits for the operator, and the answer reaches the agent."""
    attempt = await begin(worker, "ask make deploy")
    asked = await worker.until(attempt, lambda event: event.HasField("approval_requested"))
    assert (asked.approval_requested.tool, asked.approval_requested.target) == ("Bash", "make deploy")
    await worker.answer(attempt, asked.approval_requested.approval_id, approved=approved)
    events = await worker.events(attempt)
    assert said(events) == f"answer: {answer}\n"
    assert payloads(events, "tool_started")[0].tool_started.target == "make deploy"


async def test_the_plan_decides(worker: Agents) -> None:
    """Requests that the plan allows or denies are answered without the operator."""
    permissions = pb.Permissions(allow=["Bash(make:*)"], deny=["Bash(rm:*)"])
    events = await play(worker, "ask make test", "ask rm -rf /", permissions=permissions)
    assert said(events) == "answer: yes\nanswer: no\n"
    assert not payloads(events, "approval_requested")
    assert "Bash rm -rf / was not permitted: the plan denies Bash(rm:*)" in notes(events)


async def test_a_question_without_an_answer_is_denied(worker: Agents) -> None:
    """A question that is not answered in time counts as denied."""
    permissions = pb.Permissions(wait=seconds(0.2))
    events = await play(worker, "ask make deploy", permissions=permissions)
    assert said(events) == "answer: no\n"
    assert not payloads(events, "approval_resolved")[0].approval_resolved.approved


async def test_files_of_the_worktree(worker: Agents) -> None:
    """The agent can write files inside the worktree and read them, in full or a range of lines."""
    path = worker.worktree / "new" / "a.txt"
    (worker.worktree / "lines").write_text("one\ntwo\nthree\n")
    events = await play(
        worker, f"write {path}", f"read {worker.worktree / 'lines'}", f"read {worker.worktree / 'no'}"
    )
    assert path.read_text() == "from the agent\n"
    assert said(events) == f"wrote {path}\nread: two\nrefused: Resource not found\n"


async def test_no_file_outside(worker: Agents, tmp_path: Path) -> None:
    """The agent cannot write outside the worktree, through a link, or to a file that git obeys."""
    (worker.worktree / "link").symlink_to(tmp_path)
    places = ["../outside", ".git", "sub/.git/hooks/pre-commit", "link/outside"]
    permissions = pb.Permissions(default=pb.PERMISSION_DECISION_ALLOW)
    steps = [f"write {worker.worktree / place}" for place in places]
    events = await play(worker, *steps, permissions=permissions)
    assert said(events).count("refused") == len(places)
    assert not any((worker.worktree / place).exists() for place in places)


async def test_terminals(worker: Agents) -> None:
    """A terminal runs in the worktree; the tool call has its output, and the agent receives the end of it."""
    permissions = pb.Permissions(allow=["Bash(*)"])
    events = await play(worker, "run seq 1 200; pwd; exit 3", permissions=permissions)
    started = payloads(events, "tool_started")[0].tool_started
    assert (started.name, started.target) == ("Bash", "seq 1 200; pwd; exit 3")
    finished = payloads(events, "tool_finished")[0].tool_finished
    assert not finished.ok
    assert finished.result.endswith(f"200\n{worker.worktree}\n")
    assert len(finished.result) <= 100
    assert "".join(event.output.text for event in payloads(events, "output")).startswith("1\n2\n")


async def test_a_terminal_needs_permission(worker: Agents) -> None:
    """A command that the plan denies does not run; a granted command is not asked about again."""
    permissions = pb.Permissions(deny=["Bash(touch no:*)"])
    attempt = await begin(worker, "run touch no", "ask touch yes", "run touch yes", permissions=permissions)
    asked = await worker.until(attempt, lambda event: event.HasField("approval_requested"))
    await worker.answer(attempt, asked.approval_requested.approval_id, approved=True)
    events = await worker.events(attempt)
    assert said(events) == "refused: not permitted: touch no\nanswer: yes\n"
    assert len(payloads(events, "approval_requested")) == 1
    assert [path.name for path in worker.worktree.iterdir()] == ["yes"]


async def test_a_process_left_behind_does_not_hold_a_terminal(worker: Agents) -> None:
    """A terminal's command ends when its program ends, even if a child process continues."""
    permissions = pb.Permissions(allow=["Bash(*)"])
    events = await play(worker, "run sleep 300 & echo up", permissions=permissions)
    assert payloads(events, "tool_finished")[0].tool_finished.result == "up\n"


async def test_pictures_are_screenshots(worker: Agents) -> None:
    """A picture in a tool's result becomes a screenshot of the session."""
    picture = draw("Login page")
    attempt = await begin(worker, f"picture {base64.b64encode(picture).decode()}")
    (found,) = payloads(await worker.events(attempt), "screenshot")
    assert await worker.fetch(attempt, found.screenshot.artifact) == picture
    assert found.screenshot.caption


async def test_stop_is_told_to_the_agent(worker: Agents) -> None:
    """A stop first cancels the turn, so the agent can send a last message."""
    attempt = await begin(worker, "hang")
    await worker.until(attempt, lambda event: "hanging" in event.message.text)
    await worker.stop(attempt, grace=10)
    events = await worker.events(attempt)
    assert said(events) == "hanging\ncancelled\n"
    assert ending(events) == ("STOPPED", "the test says so")


async def test_stop_ends_a_question(worker: Agents) -> None:
    """A stop while a question is open ends the session and finishes the tool call."""
    attempt = await begin(worker, "ask make deploy")
    await worker.until(attempt, lambda event: event.HasField("approval_requested"))
    await worker.stop(attempt, grace=10)
    events = await worker.events(attempt)
    assert payloads(events, "tool_finished")
    assert ending(events)[0] == "STOPPED"


async def test_an_agent_that_hears_nothing_is_ended(worker: Agents) -> None:
    """An agent that ignores cancellation and signals is killed after the grace period."""
    attempt = await begin(worker, "wedge")
    await worker.until(attempt, lambda event: "wedged" in event.message.text)
    await worker.stop(attempt, grace=0.5)
    assert ending(await worker.events(attempt))[0] == "STOPPED"


async def test_the_operator_is_heard_in_the_next_turn(worker: Agents) -> None:
    """The operator's message during a turn becomes the agent's next prompt."""
    attempt = await begin(worker, "ask make deploy")
    asked = await worker.until(attempt, lambda event: event.HasField("approval_requested"))
    await worker.answer(
        attempt, asked.approval_requested.approval_id, approved=False, message="use make ship"
    )
    events = await worker.events(attempt)
    assert said(events) == "answer: no\nYou said: The operator denied Bash make deploy: use make ship\n"


async def test_a_crash_has_a_reason(worker: Agents) -> None:
    """An agent that exits during its work fails the session, and the reason contains its exit code."""
    outcome, reason = ending(await play(worker, "say I am", "crash 3"))
    assert outcome == "FAILED"
    assert "exited with code 3 before its work was done" in reason


async def test_a_killed_agent_resumes_its_session(worker: Agents) -> None:
    """An agent ended by a signal is restarted, loads its session and continues its task with its files."""
    events = await play(worker, "say I am", "die now", "say Still here", flags="--load")
    assert ending(events) == ("SUCCEEDED", "")
    assert "was ended by signal 9" in notes(events)
    assert "Your files are as you left them." in said(events)
    assert said(events).endswith("Still here")


async def test_an_agent_that_cannot_resume_fails_when_it_is_killed(worker: Agents) -> None:
    """The session fails, and the reason names the signal that ended the agent."""
    outcome, reason = ending(await play(worker, "die now"))
    assert outcome == "FAILED"
    assert "was ended by signal 9 before its work was done" in reason


async def test_commands_that_run_on_are_waited_for(worker: Agents) -> None:
    """A terminal or call that outlives its turn delays the session's end and is reported."""
    events = await play(
        worker,
        "leave sleep 1; echo x > late.txt",
        "dawdle 0.6",
        permissions=pb.Permissions(allow=["Bash(*)"]),
        checks=[pb.Check(name="there", run="cat late.txt")],
        background_wait=seconds(60),
    )
    assert ending(events) == ("SUCCEEDED", "")
    waiting, *_, over = [event.background_work for event in payloads(events, "background_work")]
    assert list(waiting.running) == ["sleep 1; echo x > late.txt", "Think long"]
    assert over == pb.BackgroundWork()


async def test_commands_without_end_are_stopped(worker: Agents) -> None:
    """At the limit, commands that still run are ended and reported."""
    events = await play(
        worker,
        "leave sleep 611.5",
        "say It runs.",
        permissions=pb.Permissions(allow=["Bash(*)"]),
        checks=[pb.Check(name="gone", run="! pgrep -f 'sleep 611[.]5'")],
        background_wait=seconds(0.5),
    )
    assert ending(events) == ("SUCCEEDED", "")
    assert list(payloads(events, "background_work")[-1].background_work.stopped) == ["sleep 611.5"]


@pytest.mark.parametrize(
    ("steps", "ended", "told"),
    [
        ("stop refusal", "FAILED", "the model refused"),
        ("fail API Error: 401 invalid x-api-key", "UNAUTHORIZED", "refused the login (401)"),
        ("fail HTTP 503: down", "PROVIDER_UNAVAILABLE", "failed: HTTP 503: down"),
        ("fail the disk is on fire", "FAILED", "failed: the disk is on fire"),
    ],
)
async def test_failures_say_what_to_do(worker: Agents, steps: str, ended: str, told: str) -> None:
    """A turn that fails ends the session with a plain reason and shows if the provider is the cause."""
    outcome, reason = ending(await play(worker, steps))
    assert outcome == ended
    assert told in reason


async def test_a_login_is_wanted(worker: Agents) -> None:
    """An agent that is not logged in fails with a reason that says how to log in."""
    outcome, reason = ending(await play(worker, "say Hi", flags="--auth"))
    assert outcome == "UNAUTHORIZED"
    assert "is not logged in: log in with" in reason


async def test_what_is_no_message_is_output(worker: Agents) -> None:
    """Printed lines, broken bytes and unknown updates become output and do not fail the session."""
    events = await play(worker, "mutter careless", "invent", "say Hi")
    assert "careless \ufffd\ufffd\n[1, 2]\n" in output(events)
    assert said(events) == "Hi"
    assert "Traceback" not in output(events, pb.OUTPUT_STREAM_STDERR)
    assert ending(events) == ("SUCCEEDED", "")


async def test_a_line_of_five_megabytes(worker: Agents) -> None:
    """A message of 5 MB arrives complete, in pieces."""
    events = await play(worker, "flood 5000000")
    assert len(said(events)) == 5_000_000
    assert ending(events) == ("SUCCEEDED", "")


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        ("acp:no-such-agent-here --flag", "no-such-agent-here could not be started: No such file"),
        ("acp:true", "true exited with code 0 before its work was done"),
    ],
)
async def test_what_is_no_agent_has_a_reason(worker: Agents, agent: str, told: str) -> None:
    """A command that is not an ACP agent fails the session with that reason."""
    outcome, reason = ending(await worker.run(agent))
    assert outcome == "FAILED"
    assert told in reason


async def test_models_are_chosen(worker: Agents) -> None:
    """The plan's model is selected; an unknown model is refused with a list of the available ones."""
    events = await play(worker, "say Hi", model="large")
    assert payloads(events, "usage")[-1].usage.model == "large"
    outcome, reason = ending(await play(worker, "say Hi", model="huge", number=2))
    assert outcome == "FAILED"
    assert "has no model 'huge'; it has: small, large" in reason


async def test_secrets_of_the_service_stay_there(worker: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent sees only the service's variables that are explicitly allowed."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary")
    monkeypatch.setenv("SECRET", "canary")
    events = await play(worker, "environment SECRET", "environment ANTHROPIC_API_KEY")
    assert said(events) == "SECRET=None\nANTHROPIC_API_KEY=None\n"


async def resumed(worker: Agents, *steps: str, flags: str, before: str | None = None) -> list[pb.Event]:
    """Returns the events of an attempt that resumes an earlier session, which ran with flags `before`."""
    earlier = await begin(worker, "say Hi", flags=flags if before is None else before)
    await worker.events(earlier)
    return await play(worker, *steps, flags=flags, number=2, resume_attempt=earlier)


async def test_a_session_goes_on(worker: Agents) -> None:
    """A resumed session is loaded without repeating its messages, and is asked to continue its task."""
    told = said(await resumed(worker, "Improve the docs", flags="--load"))
    assert "what was said before" not in told
    assert told.startswith("You said: Your session was interrupted and is resumed now.")
    assert "Improve the docs" in told


@pytest.mark.parametrize(
    ("before", "flags", "note"),
    # An agent that could resume sessions until it was replaced, and one that lost its session.
    [("--load", "", "cannot resume a session"), (None, "--forgetful", "could not be resumed (")],
)
async def test_a_session_that_cannot_go_on_begins_again(
    worker: Agents, before: str | None, flags: str, note: str
) -> None:
    """If the earlier session cannot be resumed, a new session does the task and the log says so."""
    events = await resumed(worker, "say Hello", flags=flags, before=before)
    assert note in notes(events)
    assert said(events) == "Hello"
    assert ending(events) == ("SUCCEEDED", "")


async def test_what_the_operator_said_is_told_to_the_session_that_goes_on(worker: Agents) -> None:
    """Messages that an agent did not receive reach later sessions, resumed or new."""
    attempt = ""
    for number, words in enumerate(("Use tabs", "Mind the docs"), 1):
        attempt = await begin(worker, "hang", flags="--load", number=number, resume_attempt=attempt)
        await worker.until(attempt, lambda event: "hanging" in event.message.text)
        await worker.tell(attempt, words)
        await worker.stop(attempt)
    for number, flags in ((3, "--load"), (4, "--forgetful")):
        told = said(await play(worker, "Improve it", flags=flags, number=number, resume_attempt=attempt))
        assert "You said: Improve it\n" in told
        assert (
            "You may not have received all of them:\nYou said: \nYou said: Use tabs\nYou said: \nYou said: Mind the docs\n"
            in told
        )
    assert "Use tabs" not in said(await play(worker, "Improve it", flags="--load", number=5))


async def test_a_limit_in_the_metadata_is_exact(worker: Agents) -> None:
    """A rate limit that an update's metadata reports ends a session with its kind and its exact end."""
    limit = '{"status": "rejected", "rateLimitType": "seven_day", "resetsAt": 1796000007}'
    events = await play(worker, f"limit {limit}", f"limit {limit}", "fail You've hit your limit · resets 3pm")
    outcome, reason = ending(events)
    assert outcome == "RATE_LIMITED"
    assert "Claude's seven-day limit is reached" in reason
    assert notes(events).count("Claude's seven-day limit is reached.") == 1
    assert events[-1].session_finished.retry_time.seconds == 1_796_000_007


async def test_servers_without_a_program_are_named(worker: Agents) -> None:
    """The log names each MCP server whose program does not exist: the protocol cannot say it."""
    (worker.worktree / "server").write_text("#!/bin/sh\n")
    (worker.worktree / "server").chmod(0o755)
    servers = [
        pb.McpServer(name="gone", command="no-such-server"),
        pb.McpServer(name="lost", command="./no/such"),
        pb.McpServer(name="own", command="./server"),
        pb.McpServer(name="usual", command="sh"),
        pb.McpServer(name="far", url="http://127.0.0.1:9/mcp"),
    ]
    told = notes(await play(worker, "say Hello", mcp_servers=servers))
    assert told.count("is not there") == 2
    assert "'gone' is not there (it failed to start: there is no program no-such-server)" in told
    assert "'lost' is not there (it failed to start: there is no program ./no/such)" in told
