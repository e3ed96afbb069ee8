"""A plan's agent options reach the real program."""

import json
import sys
from pathlib import Path

import pytest

from heddle import pb
from tests.support.agents import attempt_name, ending, output
from tests.support.models.turns import Call, Turn
from tests.support.real_agents import KINDS, real_agent

# A minimal Model Context Protocol server with one tool; creates a file when it is asked for its tools.
SERVER = """
import json, os, pathlib, sys
for line in sys.stdin:
    said = json.loads(line)
    if "id" not in said:
        continue
    if said["method"] == "tools/list":
        pathlib.Path(sys.argv[1]).write_text(os.environ["LOOM"])
    results = {
        "initialize": {"protocolVersion": said.get("params", {}).get("protocolVersion", "2025-06-18"),
                       "capabilities": {"tools": {}}, "serverInfo": {"name": "loom", "version": "1"}},
        "tools/list": {"tools": [{"name": "weave", "description": "d", "inputSchema": {"type": "object"}}]},
    }
    print(json.dumps({"jsonrpc": "2.0", "id": said["id"], "result": results.get(said["method"], {})}), flush=True)
"""


@pytest.mark.parametrize("agent", KINDS)
async def test_options_reach_the_agent(agent: str, tmp_path: Path) -> None:
    """The model's request contains the system prompt, effort, tools and servers of the plan."""
    async with real_agent(agent, tmp_path) as it:
        worker, model = it.worker, it.model
        # Codex does not wait for its servers before it calls its model.
        wait = Call("Bash", {"command": "until [ -e asked ]; do sleep 0.1; done"})
        model.play([Turn(calls=[wait] if agent == "codex" else []), Turn("Done.")], "")
        await worker.stub.StartSession(
            pb.StartSessionRequest(
                attempt=attempt_name(),
                epoch=1,
                agent=agent,
                prompt="Do it",
                environment=it.environment,
                system_prompt="Always weave twice.",
                effort="low",
                tools=[] if agent == "codex" else ["Read", "ToolSearch"],
                mcp_servers=[
                    pb.McpServer(
                        name="loom",
                        command=sys.executable,
                        args=["-c", SERVER, str(worker.worktree / "asked")],
                        env={"LOOM": "wide"},
                    ),
                    pb.McpServer(name="gone", command="/no/such/server"),
                ],
            )
        )
        events = await worker.events(attempt_name())
        asked = model.requests[0]
    assert ending(events) == ("SUCCEEDED", "")
    told = json.dumps(asked)
    assert "Always weave twice." in told
    assert (worker.worktree / "asked").read_text() == "wide"
    if agent == "codex":
        assert asked["reasoning"]["effort"] == "low"
    else:
        assert "Bash" not in {tool["name"] for tool in asked["tools"]}
        assert '"effort": "low"' in told
    assert output(events, pb.OUTPUT_STREAM_SYSTEM).count("'gone' is not there (it failed to start") == 1
