"""The logins of sessions: what their copies contain, and who renews them."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent_svc.agents.claude.own_folder import CLAUDE_FOLDER
from agent_svc.agents.codex.own_folder import CODEX_FOLDER
from agent_svc.sandbox.own_folder import Credential, OwnFolder
from agent_svc.sandbox.private_folders import PrivateFolder, PrivateFolders
from agent_svc.sessions.logins import Logins

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)

# Writes a login that does not expire soon, and counts its calls.
RENEW = """
import json, pathlib, sys
folder = pathlib.Path(sys.argv[1])
(folder / "calls").open("a").write("x")
(folder / "login.json").write_text(json.dumps({"access": "new", "refresh": "new", "expires": 1e12}))
"""

COUNT = 'echo x >> "$HOME/.agent/calls"; exit 1'


def prepared(tmp_path: Path, kind: OwnFolder) -> PrivateFolder:
    """Returns the private folder of a session whose user's folder is below `tmp_path`."""
    folders = PrivateFolders(
        (kind,), {"HOME": str(tmp_path)}, tmp_path / "worktree", tmp_path / "own", tmp_path / "kept"
    )
    folders.prepare("", None)
    return folders.folders[0]


def login_folder(tmp_path: Path, expires: float, **fields: object) -> OwnFolder:
    """Returns a folder with a login that expires at `expires`."""
    folder = tmp_path / ".agent"
    folder.mkdir()
    (folder / "login.json").write_text(json.dumps({"access": "old", "refresh": "old", "expires": expires}))
    command = (sys.executable, "-c", RENEW, str(folder))
    login = Credential(
        "login.json",
        renewing=(("refresh",),),
        expires=lambda content: float(content["expires"]),
        renew=lambda: command,
        **fields,  # type: ignore[arg-type]  # the remaining fields
    )
    return OwnFolder(".agent", credentials=(login,))


def copied(folder: PrivateFolder) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder.private / "login.json").read_text())
    return content


@pytest.mark.parametrize(
    ("kind", "name", "content", "expected"),
    [
        (
            CLAUDE_FOLDER,
            ".credentials.json",
            {"claudeAiOauth": {"accessToken": "a", "refreshToken": "r"}, "other": 1},
            {"claudeAiOauth": {"accessToken": "a", "refreshToken": ""}, "other": 1},
        ),
        (
            CODEX_FOLDER,
            "auth.json",
            {"OPENAI_API_KEY": None, "tokens": {"access_token": "a", "refresh_token": "r"}},
            {"OPENAI_API_KEY": None, "tokens": {"access_token": "a", "refresh_token": ""}},
        ),
        (CODEX_FOLDER, "auth.json", {"OPENAI_API_KEY": "k"}, {"OPENAI_API_KEY": "k"}),
    ],
)
def test_a_session_gets_a_login_that_it_cannot_renew(
    kind: OwnFolder, name: str, content: object, expected: object, tmp_path: Path
) -> None:
    """A session's copy of a login has no refresh token, and the user's own file does not change."""
    (tmp_path / kind.default).mkdir()
    own = tmp_path / kind.default / name
    own.write_text(json.dumps(content))
    folder = prepared(tmp_path, kind)
    assert json.loads((folder.private / name).read_text()) == expected
    assert (folder.private / name).stat().st_mode & 0o777 == 0o600
    assert json.loads(own.read_text()) == content


@pytest.mark.parametrize(("seconds", "calls"), [(3600, ""), (60, "x"), (-60, "x")])
async def test_an_expiring_login_is_renewed_for_all(seconds: float, calls: str, tmp_path: Path) -> None:
    """The agent's own command renews a login that expires soon, once, and running sessions get the new one."""
    kind = login_folder(tmp_path, NOW.timestamp() + seconds)
    folder = prepared(tmp_path, kind)
    logins = Logins(lambda: NOW)
    for _ in range(2):
        await logins.refresh([folder], {"HOME": str(tmp_path)})
    counted = tmp_path / ".agent" / "calls"
    assert (counted.read_text() if counted.exists() else "") == calls
    assert (copied(folder)["access"], copied(folder)["refresh"]) == ("new" if calls else "old", "")


@pytest.mark.parametrize("trusted", [{"HOME": "/elsewhere"}, {"HOME": "HERE", "KEY": "k"}, {}])
async def test_only_the_users_own_login_is_renewed(trusted: dict[str, str], tmp_path: Path) -> None:
    """Nothing is renewed in a folder that a plan or project chose, or where the agent logs in with a key."""
    kind = login_folder(tmp_path, NOW.timestamp(), unless=("KEY",))
    folder = prepared(tmp_path, kind)
    trusted = {name: str(tmp_path) if value == "HERE" else value for name, value in trusted.items()}
    await Logins(lambda: NOW).refresh([folder], trusted)
    assert not (tmp_path / ".agent" / "calls").exists()


async def test_a_command_that_fails_is_not_repeated_at_once(tmp_path: Path) -> None:
    """If a login cannot be renewed, the session keeps its copy, and the next try comes after ten minutes."""
    login_folder(tmp_path, NOW.timestamp())
    moments = [NOW]
    logins = Logins(lambda: moments[-1])
    failing = OwnFolder(
        ".agent",
        credentials=(
            Credential("login.json", expires=lambda _: 0.0, renew=lambda: ("/bin/sh", "-c", COUNT)),
        ),
    )
    folder = prepared(tmp_path, failing)
    trusted = {"HOME": str(tmp_path), "PATH": "/bin:/usr/bin"}
    for moment in (NOW, NOW.replace(minute=5), NOW.replace(minute=11)):
        moments.append(moment)
        await logins.refresh([folder], trusted)
    assert (tmp_path / ".agent" / "calls").read_text() == "x\nx\n"
    assert copied(folder)["access"] == "old"


def test_a_link_in_place_of_a_copy_is_not_followed(tmp_path: Path) -> None:
    """An agent that replaces its copy with a link cannot have another file overwritten."""
    folder = prepared(tmp_path, login_folder(tmp_path, 0))
    other = tmp_path / "other"
    other.write_text("mine")
    (folder.private / "login.json").unlink()
    (folder.private / "login.json").symlink_to(other)
    with pytest.raises(OSError, match="symbolic links"):
        folder.hand_over_logins()
    assert other.read_text() == "mine"
