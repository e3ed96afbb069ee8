"""An agent's own folders: in a sandbox, a session leaves nothing in its user's folder except its own records."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_svc.agents.acp.presets import GEMINI_FOLDER, GOOSE_FOLDERS, OPENCODE_FOLDERS
from agent_svc.agents.claude.own_folder import CLAUDE_FOLDER
from agent_svc.agents.codex.own_folder import CODEX_FOLDER
from agent_svc.sandbox.bubblewrap import Bubblewrap, Resident
from agent_svc.sandbox.own_folder import OwnFolder
from agent_svc.sandbox.private_folders import PrivateFolders
from agent_svc.sandbox.rules import Rules
from tests.support.programs import need_sandbox

ID = "0f7bd3d5-7e4c-4f0e-9a53-3d5c1b1f2a10"

# What the user has in the folder, and what a session tries to write there.
USERS: Mapping[str, str] = {
    ".claude/.credentials.json": '{"claudeAiOauth": {"accessToken": "a", "refreshToken": "r"}}',
    ".claude/.claude.json": "{}",
    ".claude/settings.json": "{}",
    ".claude/CLAUDE.md": "mine",
    ".claude/projects/-other/11111111-aaaa.jsonl": "another conversation",
    ".claude/shell-snapshots/snapshot-bash-1.sh": "export A=1",
    ".codex/auth.json": '{"tokens": {"access_token": "a", "refresh_token": "r"}}',
    ".codex/config.toml": "model = 'm'",
    ".codex/AGENTS.md": "mine",
    ".codex/rules/default.rules": "",
    ".codex/sessions/2026/11/01/rollout-1-11111111-aaaa.jsonl": "another conversation",
    ".gemini/oauth_creds.json": '{"access_token": "a", "refresh_token": "r"}',
    ".gemini/settings.json": "{}",
    ".config/opencode/opencode.json": "{}",
    ".config/opencode/plugin/mine.js": "",
    ".cache/opencode/package.json": "{}",
    ".local/share/opencode/auth.json": "{}",
    ".local/share/opencode/bin/rg": "",
    ".local/share/opencode/opencode.db": "all sessions",
    ".local/share/goose/sessions/sessions.db": "all sessions",
}
PLANTED = (
    ".claude/shell-snapshots/snapshot-bash-1.sh",
    ".claude/shell-snapshots/new.sh",
    ".claude/projects/-other/memory/MEMORY.md",
    ".claude/projects/-other/11111111-aaaa.jsonl",
    ".claude/settings.json",
    ".claude/.claude.json",
    ".claude/CLAUDE.md",
    ".claude/skills/x/SKILL.md",
    ".claude/.credentials.json",
    ".codex/.env",
    ".codex/AGENTS.override.md",
    ".codex/AGENTS.md",
    ".codex/auth.json",
    ".codex/config.toml",
    ".codex/hooks.json",
    ".codex/managed_config.toml",
    ".codex/requirements.toml",
    ".codex/rules/default.rules",
    ".codex/sessions/2026/11/01/rollout-1-11111111-aaaa.jsonl",
    ".gemini/.env",
    ".gemini/oauth_creds.json",
    ".gemini/settings.json",
    ".gemini/system.md",
    ".config/opencode/opencode.json",
    ".config/opencode/plugin/mine.js",
    ".config/opencode/plugin/new.js",
    ".cache/opencode/package.json",
    ".cache/opencode/node_modules/x/index.js",
    ".local/share/opencode/auth.json",
    ".local/share/opencode/bin/rg",
    ".local/share/opencode/bin/new",
    ".local/share/opencode/opencode.db",
    ".local/share/goose/sessions/sessions.db",
    ".local/state/goose/history",
)
ALL = (CLAUDE_FOLDER, CODEX_FOLDER, GEMINI_FOLDER, *OPENCODE_FOLDERS, *GOOSE_FOLDERS)


@dataclass
class Place:
    """A user's home with everything in USERS, and a worktree."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "user"

    @property
    def worktree(self) -> Path:
        return self.folder / "worktree"

    def files(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.home)): path.read_text()
            for path in self.home.rglob("*")
            if path.is_file()
        }

    def run(
        self,
        script: str,
        own: Sequence[OwnFolder] = ALL,
        *,
        number: int = 1,
        session_id: str = "",
        resume: str = "",
    ) -> str:
        """Runs a script as a session in its sandbox; returns its output."""
        attempt, earlier = self.folder / "spool" / str(number), self.folder / "spool" / str(number - 1)
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        folders = PrivateFolders(own, environment, self.worktree, attempt / "own", attempt / "kept")
        folders.prepare(resume, earlier / "kept")
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        sandbox = Bubblewrap.find(Rules(self.folder / "spool"))
        wrapper = sandbox.wrapper(Resident(self.worktree, scratch, environment, folders.folders))
        done = subprocess.run(
            [*wrapper, "/bin/sh", "-c", f"cd {self.home}; {script}"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        folders.bring_back(session_id, resume)
        return done.stdout + done.stderr


@pytest.fixture(name="place")
def _place() -> Iterator[Place]:
    need_sandbox()
    # A sandbox hides /tmp.
    folder = Path(tempfile.mkdtemp(prefix="heddle-test-", dir="/var/tmp"))
    place = Place(folder)
    place.worktree.mkdir()
    for name, text in USERS.items():
        path = place.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    yield place
    shutil.rmtree(folder)


def test_a_session_plants_nothing(place: Place) -> None:
    """Whatever a session writes or removes in its agent's folders, the user's files stay as they were."""
    write = "".join(f"mkdir -p $(dirname {each}); rm -f {each}; echo evil > {each}\n" for each in PLANTED)
    place.run(f"({write}) 2>/dev/null; rm -rf {' '.join(sorted({each.split('/')[0] for each in USERS}))}")
    assert place.files() == dict(USERS)
    # The same session without private folders does harm.
    subprocess.run(["/bin/sh", "-c", f"cd {place.home}; {write}"], check=True)
    assert place.files() != dict(USERS)


def test_a_session_sees_settings_and_its_own_login(place: Place) -> None:
    """It sees the user's settings and an access token, but no refresh token and no other conversation."""
    said = place.run(f"cat {' '.join(sorted(USERS))} 2>/dev/null", (CLAUDE_FOLDER, CODEX_FOLDER))
    assert "model = 'm'" in said
    assert '"accessToken": "a", "refreshToken": ""' in said
    assert '"access_token": "a", "refresh_token": ""' in said
    claude = place.run("ls -A .claude; ls -A .codex", (CLAUDE_FOLDER, CODEX_FOLDER)).split()
    assert {"projects", "sessions", "shell-snapshots"}.isdisjoint(claude)


@pytest.mark.parametrize(
    ("kind", "record", "others"),
    [
        (
            CLAUDE_FOLDER,
            ".claude/projects/PROJECT/ID.jsonl",
            (
                ".claude/projects/PROJECT/ID/x",
                ".claude/projects/PROJECT/other.jsonl",
                ".claude/projects/p/ID.jsonl",
            ),
        ),
        (
            CODEX_FOLDER,
            ".codex/sessions/2026/11/30/rollout-2026-ID.jsonl",
            (".codex/sessions/2026/11/30/rollout-2026-other.jsonl", ".codex/sessions/x/1/1/rollout-ID.jsonl"),
        ),
    ],
)
def test_a_session_leaves_its_record_and_can_be_resumed(
    kind: OwnFolder, record: str, others: tuple[str, ...], place: Place
) -> None:
    """The record of the session is brought back under its id, and only the session that resumes it changes it."""

    def named(text: str) -> str:
        project = re.sub(r"[^A-Za-z0-9]", "-", str(place.worktree))
        return text.replace("PROJECT", project).replace("ID", ID)

    mine = named(record)
    write = "".join(
        f"mkdir -p $(dirname {each}); echo one > {each}\n" for each in (mine, *map(named, others))
    )
    place.run(write, (kind,), session_id=ID)
    added = {name: text for name, text in place.files().items() if name not in USERS}
    assert added.pop(mine) == "one\n"
    # The folder of a transcript belongs to it.
    assert added.keys() <= {named(".claude/projects/PROJECT/ID/x")}
    place.run(f"mkdir -p $(dirname {mine}); echo evil > {mine}", (kind,), number=2, session_id=ID)
    assert place.files()[mine] == "one\n"
    place.run(f"echo two >> {mine}", (kind,), number=3, session_id=ID, resume=ID)
    assert place.files()[mine] == "one\ntwo\n"


@pytest.mark.parametrize("chosen", ["../../../.bashrc", "*", "a/b", ".", "", "x" * 200])
def test_an_id_cannot_name_another_file(chosen: str, place: Place) -> None:
    """An agent chooses the id of its session; one that could match more than a file name brings nothing back."""
    everything = "mkdir -p .claude/projects/x; echo x > .claude/projects/x/y.jsonl; echo x > .claude/.bashrc"
    place.run(everything, (CLAUDE_FOLDER, CODEX_FOLDER), session_id=chosen)
    assert place.files() == dict(USERS)


def test_a_database_is_stored_with_the_attempt(place: Place) -> None:
    """OpenCode's sessions are in one database: the next attempt gets that of the last one, the user's never."""
    database = ".local/share/opencode/opencode.db"
    assert "all sessions" not in place.run(f"cat {database}; echo mine > {database}", OPENCODE_FOLDERS)
    assert "mine" in place.run(f"cat {database}", OPENCODE_FOLDERS, number=2)
    assert place.files() == dict(USERS)
    assert not (place.folder / "spool" / "1" / "own").exists()
