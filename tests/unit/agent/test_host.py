"""What all hosts share: questions, the operator's messages, and the end of a host."""

import asyncio
import io
import json
import subprocess
import sys
from pathlib import Path

from agent_svc.agents.base import protocol
from agent_svc.agents.base.host import Host
from agent_svc.agents.base.permission_gate import permit
from agent_svc.agents.base.tool_vocabulary import ToolCall
from heddle import pb
from tests.support.agents import seconds

BASH = ToolCall(id="1", name="Bash", target="make", kind=pb.TOOL_KIND_COMMAND, input="make")


class Connection:
    """A host that runs in this process, and its output."""

    def __init__(self, session: pb.StartSessionRequest | None = None) -> None:
        self.incoming = asyncio.StreamReader()
        self.outgoing = io.BytesIO()
        opening = protocol.Opening(session or pb.StartSessionRequest())
        self.host = Host(opening, self.incoming, self.outgoing)

    def hear(self, event: pb.Event) -> None:
        self.incoming.feed_data(protocol.line_of(event))

    def told(self) -> list[pb.Event]:
        return [protocol.parse_event(line) for line in self.outgoing.getvalue().splitlines()]


async def test_an_answer_ends_the_wait() -> None:
    """The answer to a question delivers the operator's text; answers to other questions are ignored."""
    connection = Connection()
    listening = asyncio.create_task(connection.host.listen())
    asking = asyncio.create_task(permit(connection.host, BASH))
    await asyncio.sleep(0)
    (asked,) = connection.told()
    assert (asked.approval_requested.tool, asked.approval_requested.target) == ("Bash", "make")
    connection.hear(pb.Event(approval_resolved=pb.ApprovalResolved(approval_id="another", approved=False)))
    approval = asked.approval_requested.approval_id
    for approved in (True, False):
        answer = pb.ApprovalResolved(approval_id=approval, approved=approved, message="Go")
        connection.hear(pb.Event(approval_resolved=answer))
    permission = await asking
    assert (permission.allowed, permission.reason) == (True, "the operator said yes: Go")
    listening.cancel()


async def test_what_cannot_be_understood_ends_nothing() -> None:
    """If translating a message fails, the log reports it, and later messages are translated."""
    connection = Connection()
    connection.host.tell(lambda: [pb.Event(message=pb.Message(text="\ud800"))])
    connection.host.tell(lambda: [pb.Event(message=pb.Message(text="next"))])
    note, following = connection.told()
    assert "could not be understood" in note.output.text
    assert following.message.text == "next"


async def test_an_answer_from_before_counts_once() -> None:
    """An answer given to the resumed session allows that call once; the next such call asks again."""
    session = pb.StartSessionRequest(permissions=pb.Permissions(wait=seconds(0.01)))
    session.answers.add(approval=pb.Approval(tool="Bash", target="make"), approved=True)
    connection = Connection(session)
    assert (await permit(connection.host, BASH)).allowed
    assert connection.told() == []
    assert not (await permit(connection.host, BASH)).allowed
    assert connection.told()[0].approval_requested.target == "make"


async def test_no_answer_is_a_no() -> None:
    """After the wait that the plan sets, an unanswered question is denied, and the log says so."""
    session = pb.StartSessionRequest(permissions=pb.Permissions(wait=seconds(0.01)))
    connection = Connection(session)
    permission = await permit(connection.host, BASH)
    assert not permission.allowed
    assert "no answer within 0.01 s" in permission.reason
    asked, resolved = connection.told()
    assert asked.approval_requested.wait == seconds(0.01)
    assert resolved.approval_resolved.approval_id == asked.approval_requested.approval_id
    assert not resolved.approval_resolved.approved


async def test_what_the_policy_decides_is_not_asked() -> None:
    """A call that the policy denies or allows creates no question."""
    session = pb.StartSessionRequest(permissions=pb.Permissions(allow=["Bash(make)"]))
    connection = Connection(session)
    assert (await permit(connection.host, BASH)).allowed
    session.permissions.deny.append("Bash")
    assert not (await permit(connection.host, BASH)).allowed
    assert connection.told() == []


async def test_the_operators_words_wait_in_order() -> None:
    """Messages are queued until the agent can receive them; a line that is not a message is ignored."""
    connection = Connection()
    connection.hear(pb.Event(message=pb.Message(text="one")))
    connection.incoming.feed_data(b"no event\n")
    connection.hear(pb.Event(message=pb.Message(text="two")))
    connection.incoming.feed_eof()
    await connection.host.listen()
    assert [connection.host.heard.get_nowait() for _ in range(2)] == ["one", "two"]
    # Without agent_svc, the host has no reason to work.
    assert connection.host.stopping.is_set()


HOST = """
import sys
from agent_svc.agents.base.host import AgentFailedError, Host, run_host

async def drive(host: Host) -> None:
    print("a careless library")
    host.say("Hello", last=True)
    {ending}

sys.exit(run_host(drive))
"""


def run_a_host(ending: str, tmp_path: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", HOST.format(ending=ending)],
        input=protocol.opening(pb.StartSessionRequest()),
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )


def test_a_host_ends_well(tmp_path: Path) -> None:
    """The host sends its greeting and events, and keeps output of libraries out of its protocol lines."""
    done = run_a_host("", tmp_path)
    greeting, said = done.stdout.splitlines()
    assert protocol.is_greeting(greeting)
    assert protocol.parse_event(said).message.text == "Hello"
    assert done.returncode == 0
    assert done.stderr == b"a careless library\n"


def test_a_host_says_why_its_agent_failed(tmp_path: Path) -> None:
    """The reason is that of the session; a defect is reported as such, with its traceback in the log."""
    failed = run_a_host("raise AgentFailedError('not logged in: run x')", tmp_path)
    reason = json.loads(failed.stdout.splitlines()[-1])["sessionFinished"]["reason"]
    assert (failed.returncode, reason) == (1, "not logged in: run x")
    broken = run_a_host("raise KeyError('oops')", tmp_path)
    reason = json.loads(broken.stdout.splitlines()[-1])["sessionFinished"]["reason"]
    assert (broken.returncode, "defect" in reason, b"Traceback" in broken.stderr) == (1, True, True)
