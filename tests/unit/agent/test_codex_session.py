"""What codex reads if it is killed during its work. The codex here is a script."""

from pathlib import Path

import pytest

from agent_svc.agents.base.host import FILES_GONE, FILES_KEPT, RESUMED, AgentFailedError
from agent_svc.agents.codex.session import drive
from heddle import pb
from tests.unit.agent.test_host import Connection

# Stores its prompt, reports its session, and dies.
CODEX = """\
#!/bin/sh
cat > "$CODEX_HOME/prompt-$$"
echo '{"type": "thread.started", "thread_id": "01a2"}'
kill -KILL $$
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "codex"
    program.write_text(CODEX)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CODEX_HOME", str(tmp_path))
    # A host works in its working folder.
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def killed(folder: Path, resume: str) -> list[str]:
    """Returns the prompts of a codex that dies each time, in their order."""
    connection = Connection(pb.StartSessionRequest(prompt="Do it"))
    connection.host.resume = resume
    with pytest.raises(AgentFailedError, match="codex ended by SIGKILL"):
        await drive(connection.host)
    prompts = sorted(folder.glob("prompt-*"), key=lambda path: path.stat().st_mtime_ns)
    return [path.read_text() for path in prompts]


async def test_a_killed_codex_knows_that_its_files_are_kept(folder: Path) -> None:
    """A restarted codex is told once that it was interrupted, and that its files are as it left them."""
    again = RESUMED.format(files=FILES_KEPT, prompt="Do it")
    assert await killed(folder, resume="") == ["Do it", again, again]


async def test_a_resumed_codex_that_is_killed(folder: Path) -> None:
    """A codex of a later attempt is told that its files may be gone, and after a restart that they are kept."""
    first, *others = await killed(folder, resume="01a2")
    assert first == RESUMED.format(files=FILES_GONE, prompt="Do it")
    assert others == [RESUMED.format(files=FILES_KEPT, prompt="Do it")] * 2
