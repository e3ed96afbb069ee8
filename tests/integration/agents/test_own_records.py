"""What real agents leave in their user's folders: the record of each session, and nothing else."""

import asyncio
import base64
import json
import os
import time
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from agent_svc.agents.claude.own_folder import CLAUDE_FOLDER
from agent_svc.agents.codex.own_folder import CODEX_FOLDER
from heddle import pb
from heddle.timing.clock import utc_now
from tests.support.agents import DEADLINE, ending, payloads
from tests.support.claude import claude
from tests.support.codex import KEY, codex
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


async def test_claude_works_with_a_login_that_it_cannot_renew(tmp_path: Path) -> None:
    """Claude calls its model with the access token of the user's login; the user's file does not change."""
    need_sandbox()
    async with claude(tmp_path) as it:
        folder = Path(it.environment["CLAUDE_CONFIG_DIR"])
        folder.mkdir()
        del it.environment["ANTHROPIC_API_KEY"]
        login = {
            "accessToken": "sk-ant-oat01-access",
            "refreshToken": "sk-ant-ort01-refresh",
            "expiresAt": round((time.time() + 7200) * 1000),
            "scopes": ["user:inference", "user:profile"],
            "subscriptionType": "max",
        }
        credentials = folder / ".credentials.json"
        credentials.write_text(json.dumps({"claudeAiOauth": login}))
        it.model.play([Turn(calls=[Call("Bash", {"command": f"cat {credentials}"})]), Turn("Done.")], "")
        events = await it.worker.run(
            "claude", environment=it.environment, permissions=pb.Permissions(allow=["Bash(*)"])
        )
        assert {headers["authorization"] for headers in it.model.headers} == {"Bearer sk-ant-oat01-access"}
        assert "sk-ant-ort01" not in json.dumps(it.model.requests)
        assert json.loads(credentials.read_text()) == {"claudeAiOauth": login}
    assert ending(events) == ("SUCCEEDED", "")
    assert '"refreshToken": ""' in payloads(events, "tool_finished")[0].tool_finished.result


async def test_codex_works_with_a_login_that_it_cannot_renew(tmp_path: Path) -> None:
    """Codex calls its model with the access token of the user's login; the user's file does not change."""
    need_sandbox()
    async with codex(tmp_path) as it:
        folder = Path(it.environment["CODEX_HOME"])
        config = (folder / "config.toml").read_text()
        (folder / "config.toml").write_text(
            config.replace(f'env_key = "{KEY}"', "requires_openai_auth = true")
        )
        claims = {"https://api.openai.com/auth": {"chatgpt_account_id": "a", "chatgpt_plan_type": "pro"}}
        token = ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in ({"alg": "none"}, {**claims, "exp": round(time.time()) + 864_000}, {})
        )
        tokens = {
            "id_token": token,
            "access_token": token,
            "refresh_token": "secret-refresh",
            "account_id": "a",
        }
        login = {"tokens": tokens, "last_refresh": utc_now().isoformat()}
        (folder / "auth.json").write_text(json.dumps(login))
        it.model.play([Turn(calls=[Call("Bash", {"command": f"cat {folder}/auth.json"})]), Turn("Done.")], "")
        events = await it.worker.run("codex", environment=it.environment)
        assert {headers["authorization"] for headers in it.model.headers} == {f"Bearer {token}"}
        assert json.loads((folder / "auth.json").read_text()) == login
    assert ending(events) == ("SUCCEEDED", "")
    result = payloads(events, "tool_finished")[0].tool_finished.result
    assert "access_token" in result
    assert "secret-refresh" not in result


@pytest.mark.parametrize("agent", ["claude", "codex"])
async def test_the_command_that_renews_a_login_calls_the_model_once(
    agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program accepts the command's options and calls its model once, without tools: it then renews its login."""
    async with real_agent(agent, tmp_path) as it:
        environment = {"PATH": os.environ["PATH"], **it.environment}
        monkeypatch.setenv("PATH", environment["PATH"])
        (login,) = (CLAUDE_FOLDER if agent == "claude" else CODEX_FOLDER).credentials
        it.model.play([Turn("ok")], "")
        process = await asyncio.create_subprocess_exec(
            *login.renew(), cwd=tmp_path, env=environment, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
        said, trouble = await asyncio.wait_for(process.communicate(), DEADLINE)
        assert process.returncode == 0, trouble
        assert b"ok" in said or b"Noted" in said
