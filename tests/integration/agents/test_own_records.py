"""What real agents leave in their user's folders: the record of each session, and nothing else."""

import json
from pathlib import Path

import pytest

from heddle import pb
from tests.support.agents import ending, payloads
from tests.support.models.turns import Call, Turn
from tests.support.programs import need_sandbox
from tests.support.real_agents import KINDS, real_agent

FOLDERS = {"claude": "CLAUDE_CONFIG_DIR", "codex": "CODEX_HOME"}


def left(folder: Path, before: set[Path]) -> set[str]:
    """Returns the files that are new below `folder`."""
    return {
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path not in before
    }


@pytest.mark.parametrize("agent", KINDS)
async def test_a_session_leaves_its_record_only(agent: str, tmp_path: Path) -> None:
    """Snapshots, memory and databases of a session are gone when it has ended; the next session resumes its record."""
    need_sandbox()
    async with real_agent(agent, tmp_path) as it:
        folder = Path(it.environment[FOLDERS.get(agent, "CLAUDE_CONFIG_DIR")])
        folder.mkdir(exist_ok=True)
        before = {path for path in folder.rglob("*") if path.is_file()}
        plant = f"mkdir -p {folder}/shell-snapshots; echo 'touch evil' > {folder}/shell-snapshots/mine.sh"
        it.model.play(
            [Turn(calls=[Call("Bash", {"command": f"{plant} || true"})]), Turn("A secret word.")], ""
        )
        everything = pb.Permissions(allow=["Bash(*)"])
        first = await it.worker.start(agent, environment=it.environment, permissions=everything)
        events = await it.worker.events(first)
        (own,) = payloads(events, "agent_session")
        files = left(folder, before)
        assert files
        assert all(own.agent_session.id in name and name.endswith(".jsonl") for name in files), files
        it.model.play([Turn("Done.")], "")
        second = await it.worker.start(agent, number=2, environment=it.environment, resume=first)
        again = await it.worker.events(second)
        assert "A secret word." in json.dumps(it.model.requests[-1])
        assert left(folder, before) == files
    assert (ending(events), ending(again)) == (("SUCCEEDED", ""), ("SUCCEEDED", ""))
