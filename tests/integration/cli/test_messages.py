"""Messages and answers to agents from the command, with the real services."""

import json
import sys

import pytest
from google.protobuf.json_format import Parse

from heddle import pb
from tests.integration.cli.server import Server
from tests.support import acp_agent
from tests.support.commands import running

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKING = """
name: Asking
epics:
  - key: api
    tasks:
      - {key: one, script: [{ask: May I drop the table?}, {say: Thank you}]}
"""

BY_HAND = """
name: By hand
defaults: {merge: manual}
epics:
  - key: api
    tasks:
      - {key: one, script: [{say: begun}]}
"""

LATER = """
name: Later
epics:
  - key: api
    tasks:
      - key: one
        agent: "command:test -e tried || { touch tried; echo heddle-retry-after: 3600; exit 75; }"
        prompt: Try it
"""

LISTENING = """
name: Listening
epics:
  - key: api
    tasks:
      - {key: one, script: [{say: begun}, {wait: 600s}]}
"""


async def test_question_is_listed_and_approved(server: Server) -> None:
    """A question is queued until it is answered; then its agent continues and the log names who answered."""
    name = await server.begin(ASKING)
    await server.until(name, "waits for you: May I drop the table?")
    code, out, err = await server.heddle("approvals")
    assert code == 0, err
    assert f"{name}/api/one/1" in out
    assert "May I drop the table?" in out
    _, out, _ = await server.heddle("approvals", "--json")
    (approval,) = [Parse(line, pb.Approval()) for line in out.splitlines() if name in line]
    assert approval.request_time.seconds

    code, out, err = await server.heddle("approve", f"{name}/api/one", "-m", "Go on")
    assert code == 0, err
    assert out == f"{name}/epics/api/tasks/one/attempts/1 approval-1 approved\n"
    assert (await server.heddle("watch", name))[0] == 0
    _, out, _ = await server.heddle("events", name, "--json")
    (resolved,) = [event for line in out.splitlines() if "approvalResolved" in (event := json.loads(line))]
    assert resolved["approvalResolved"]["message"] == "Go on"
    assert resolved["actor"].startswith("user")
    _, out, _ = await server.heddle("approvals", "--json")
    assert name not in out


async def test_what_a_run_allows_is_shown_and_revoked(server: Server) -> None:
    """The command that was allowed in the whole run is in `show` until it is revoked; then a repeat is an error."""
    agent = f"acp:{sys.executable} {acp_agent.__file__}"
    name = await server.begin(
        f"name: Tools\nepics: [{{key: api, tasks: [{{key: one, prompt: ask npm test, agent: '{agent}'}}]}}]"
    )
    await server.until(name, "waits for you")
    assert (await server.heddle("approve", f"{name}/api/one", "--always", "run"))[0] == 0
    assert (await server.heddle("watch", name))[0] == 0
    assert "allowed in the whole run: Bash(npm test) (by " in (await server.heddle("show", name))[1]
    code, out, err = await server.heddle("revoke", name, "Bash(npm test)")
    assert (code, out) == (0, f"{name} no longer allows Bash(npm test) in later sessions\n"), err
    assert "allowed in the whole run" not in (await server.heddle("show", name))[1]
    code, _, err = await server.heddle("revoke", name, "Bash(npm test)")
    assert code != 0
    assert "no answer has allowed 'Bash(npm test)'" in err


async def test_what_is_to_be_merged_by_hand_is_listed(server: Server) -> None:
    """An epic with a manual merge stays in the queue until it is merged."""
    name = await server.begin(BY_HAND)
    await server.until(name, "waits for you to merge it")
    _, out, _ = await server.heddle("approvals")
    assert f"{name}/api " in out
    _, out, _ = await server.heddle("approvals", "--json")
    (epic,) = [Parse(line, pb.Epic()) for line in out.splitlines() if f"{name}/" in line]
    assert epic.state == pb.EPIC_STATE_AWAITING_MERGE
    assert (await server.heddle("merge", f"{name}/api"))[0] == 0
    assert (await server.heddle("watch", name))[0] == 0
    assert name not in (await server.heddle("approvals"))[1]


async def test_denied_question_ends_the_session(server: Server) -> None:
    """A denial reaches the agent with the operator's message; without an open question the command fails."""
    name = await server.begin(ASKING)
    await server.until(name, "waits for you")
    code, out, err = await server.heddle(
        "deny", f"{name}/api/one/1", "approval-1", "-m", "Too risky", "--json"
    )
    assert code == 0, err
    assert Parse(out, pb.Approval()).question == "May I drop the table?"
    assert (await server.heddle("watch", name))[0] == 1
    _, out, _ = await server.heddle("show", name)
    assert "Too risky" in out
    code, out, err = await server.heddle("approve", f"{name}/api/one")
    assert (code, out) == (1, "")
    assert "has no open questions" in err
    code, _, err = await server.heddle("approve", f"{name}/api/one", "approval-1")
    assert code == 1
    assert "has ended" in err


async def test_agent_is_told_what_the_operator_says(server: Server) -> None:
    """A message to a running agent reaches it, and the agent's log contains it together with the reply."""
    name = await server.begin(LISTENING)
    await server.until(name, "api/one/1: session started")
    async with running("logs", f"{name}/api/one", "--follow", env=server.env) as logs:
        await logs.says("begun\n")
        code, out, err = await server.heddle("say", f"{name}/api/one", "Use the old table")
        assert (code, out) == (0, f"message sent to {name}/epics/api/tasks/one/attempts/1\n"), err
        await logs.says("[operator: Use the old table]\nThe operator says: Use the old table\n")
    await server.heddle("cancel", name)
    code, _, err = await server.heddle("say", f"{name}/api/one", "Too late")
    assert code == 1
    assert "it cannot receive messages" in err


async def test_task_is_added_to_an_ended_run(server: Server) -> None:
    """An added task runs and is merged; exactly one prompt is required."""
    name = await server.begin("name: Growing\nepics: [{key: api, tasks: [{key: one, script: [{say: hi}]}]}]")
    assert (await server.heddle("watch", name))[0] == 0
    code, out, err = await server.heddle("add", f"{name}/api", "Write the notes.", "--title", "Notes")
    assert code == 0, err
    assert out.startswith(f"{name}/epics/api/tasks/notes ")
    assert (await server.heddle("watch", name))[0] == 0
    _, out, _ = await server.heddle("events", name)
    assert "added: Notes" in out
    assert out.count("merged into") == 2
    code, _, err = await server.heddle("add", f"{name}/api")
    assert (code, "--file" in err) == (2, True)


async def test_a_hold_is_listed_and_lifted(server: Server) -> None:
    """A rate limit blocks its provider until the time that the agent gives, or until the operator lifts it."""
    assert (await server.heddle("lift"))[0] == 1
    name = await server.begin(LATER)
    await server.until(name, "rate-limited until ")
    code, out, err = await server.heddle("holds", "--json")
    assert code == 0, err
    hold = Parse(out, pb.Hold())
    assert (hold.provider[:8], hold.cause) == ("command:", pb.OUTCOME_RATE_LIMITED)
    assert hold.until.seconds - hold.create_time.seconds == pytest.approx(3600, abs=1)
    _, out, _ = await server.heddle("holds")
    assert "rate limited" in out
    assert name in out
    assert (await server.heddle("lift", "anthropic"))[0] == 2

    code, out, err = await server.heddle("lift")
    assert (code, out) == (0, f"{hold.provider} may start again\n"), err
    # The agent finds the file that it left, so its session continued.
    assert (await server.heddle("watch", name))[0] == 0
    assert "no provider is on hold" in (await server.heddle("holds"))[2]
    assert "no longer waits for command:" in (await server.heddle("events", name))[1]
