import json
import os
import socket
import tempfile
from pathlib import Path

import pytest

from agent_svc.sandbox import bubblewrap
from agent_svc.sandbox.boundary import boundary
from agent_svc.sandbox.bubblewrap import Bubblewrap, Resident
from agent_svc.sandbox.hidden import IN_HOME, hidden_paths, sockets
from agent_svc.sandbox.network import own_addresses, pasta_command, resolver_needed, with_resolver
from agent_svc.sandbox.repository import checkout
from agent_svc.sandbox.rules import Rules
from heddle.config import ConfigError, Settings
from heddle.files.worktree_paths import git_folder_of, record_file_of, view_of
from heddle.identity import certificates
from heddle.names import EpicName
from heddle.testing.driver_stage import make_worktree


@pytest.fixture(autouse=True)
def _no_bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulates a machine without bubblewrap."""
    monkeypatch.setenv("PATH", str(tmp_path))


def settings(tmp_path: Path, sandbox: str) -> Settings:
    return Settings.read({"HEDDLE_HOME": str(tmp_path), "HEDDLE_SANDBOX": sandbox})


def test_without_bubblewrap_agents_are_not_held(tmp_path: Path) -> None:
    """By default the service starts without a sandbox and says why and how to fix it."""
    found = boundary(settings(tmp_path, "auto"))
    assert found.sandbox is None
    assert not found.report.held
    assert found.report.detail == "bwrap is not on PATH"
    assert "apt-get install bubblewrap" in found.report.advice


def test_a_required_sandbox_must_be_there(tmp_path: Path) -> None:
    """If a required sandbox is missing, the message says what to do."""
    with pytest.raises(ConfigError, match=r"HEDDLE_SANDBOX is required, but bwrap is not on PATH: install"):
        boundary(settings(tmp_path, "required"))


def test_a_bubblewrap_that_does_not_work_is_none(tmp_path: Path) -> None:
    """A bubblewrap that cannot create a sandbox is reported with its own message."""
    program = tmp_path / "bwrap"
    program.write_text(
        "#!/bin/sh\n[ $1 = --version ] && echo bubblewrap 9.9 || { echo 'bwrap: not here' >&2; exit 1; }\n"
    )
    program.chmod(0o755)
    told = boundary(settings(tmp_path, "auto")).report
    assert told.detail == "bwrap cannot make a sandbox: bwrap: not here"
    assert "user namespaces" in told.advice


def test_off_is_off(tmp_path: Path) -> None:
    """The operator can disable the sandbox."""
    assert boundary(settings(tmp_path, "off")).report.detail == "HEDDLE_SANDBOX is off"


def test_a_worktree_shows_its_repository(tmp_path: Path) -> None:
    """Commits write only the worktree's view of the repository; the repository itself is read-only."""
    common = tmp_path / "repository/.git"
    worktree = make_worktree(tmp_path / "home", EpicName("r", "e"))
    git_folder_of(worktree).mkdir(parents=True)
    record_file_of(worktree).write_text(json.dumps({"common": str(common)}))
    found = checkout(worktree)
    assert found is not None
    assert [path.relative_to(view_of(worktree)) for path in found.writable()] == [
        Path("worktrees/e"),
        Path("objects"),
        Path("refs"),
        Path("logs"),
    ]
    assert {common, view_of(worktree), view_of(worktree) / "objects/info"} <= set(found.read_only())


@pytest.mark.parametrize("how", ["no record", "no common", "no view", "link"])
def test_another_folder_shows_nothing(tmp_path: Path, how: str) -> None:
    """A folder that worktree_svc did not record, or whose view is a link, gives access to no folder of git."""
    worktree = make_worktree(tmp_path / "home", EpicName("r", "e"))
    common = "" if how == "no common" else str(tmp_path)
    record_file_of(worktree).write_text(json.dumps({"common": common}))
    if how == "no record":
        record_file_of(worktree).unlink()
    if how == "link":
        (tmp_path / "elsewhere/worktrees/e").mkdir(parents=True)
        view_of(worktree).symlink_to(tmp_path / "elsewhere")
    elif how != "no view":
        git_folder_of(worktree).mkdir(parents=True)
    assert checkout(worktree) is None


@pytest.mark.parametrize("sandbox", ["auto", "off"])
@pytest.mark.parametrize("network", ["internet", "none"])
def test_a_network_without_its_sandbox_is_refused(tmp_path: Path, sandbox: str, network: str) -> None:
    """A restricted network is a promise: where no sandbox can keep it, the service does not start."""
    environ = {"HEDDLE_HOME": str(tmp_path), "HEDDLE_SANDBOX": sandbox, "HEDDLE_SANDBOX_NETWORK": network}
    with pytest.raises(ConfigError, match=f"HEDDLE_SANDBOX_NETWORK is {network}, which needs the sandbox"):
        boundary(Settings.read(environ))


@pytest.mark.parametrize("name", ["HEDDLE_SANDBOX_WRITABLE", "HEDDLE_SANDBOX_VISIBLE"])
@pytest.mark.parametrize("part", ["", "token", "run/agent.sock"])
def test_no_setting_shows_the_data_of_the_services(tmp_path: Path, name: str, part: str) -> None:
    """HEDDLE_HOME and what is in it cannot be shown to agents."""
    with pytest.raises(ConfigError, match="agents never see HEDDLE_HOME"):
        boundary(Settings.read({"HEDDLE_HOME": str(tmp_path), name: str(tmp_path / part)}))


def test_hidden_paths_follow_links_and_respect_the_agents_own_folders(tmp_path: Path) -> None:
    """The target of a linked secret is hidden; what belongs to the session's agent is not."""
    home, keys = tmp_path / "home", tmp_path / "keys"
    for each in (home / ".aws", home / ".config" / "gh", keys):
        each.mkdir(parents=True)
    (home / ".ssh").symlink_to(keys)
    (home / ".netrc").symlink_to(tmp_path / "absent")
    found = {
        path for path in hidden_paths(Rules(tmp_path), [home], [home / ".config"]) if tmp_path in path.parents
    }
    assert found == {keys, home / ".aws"}
    shown = Rules(tmp_path, visible=(home / ".config",))
    assert home / ".config" / "gh" in hidden_paths(Rules(tmp_path), [home])
    assert home / ".config" / "gh" not in hidden_paths(shown, [home])


def test_the_documented_list_is_complete() -> None:
    """docs/agents.md lists each hidden path of the home, by what it contains."""
    text = (Path(__file__).parents[3] / "docs" / "agents.md").read_text()
    for kind, names in IN_HOME.items():
        assert f"| {kind} | {', '.join(f'`~/{name}`' for name in names)} |" in text


def test_sockets_are_read_from_the_kernels_list(tmp_path: Path) -> None:
    """Paths that are sockets are found, once; abstract sockets and files that replaced one are not."""
    path = tmp_path / "a socket"
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        row = "0000: 00000002 00000000 00010000 0001 01 123"
        lines = ["Num RefCount Protocol Flags Type St Inode Path"]
        lines += [
            f"{row} {each}" for each in (path, path, tmp_path / "file", tmp_path / "absent", "@abstract")
        ]
        (tmp_path / "table").write_text("\n".join([*lines, row, ""]))
        assert sockets(tmp_path / "table") == [path]
    assert sockets(tmp_path / "absent") == []


def test_pasta_offers_nothing_of_this_machine() -> None:
    """No port is forwarded in either direction, and the gateway is not this machine."""
    command = " ".join(pasta_command(root=False))
    assert "--no-map-gw -t none -u none -T none -U none --" in command
    assert "--runas" not in command
    assert "--runas 0" in " ".join(pasta_command(root=True))
    assert not any(
        address.startswith("127.") or address == "::1" or "%" in address for address in own_addresses()
    )


def test_a_resolver_on_loopback_is_replaced() -> None:
    """A namespace asks pasta for names if the machine's resolver listens on loopback; search domains stay."""
    local = "nameserver 127.0.0.53\nsearch example.org\n"
    assert resolver_needed(local)
    assert resolver_needed("nameserver ::1\n")
    assert not resolver_needed("nameserver 127.0.0.1\nnameserver 192.0.2.1\n")
    assert with_resolver(local) == "search example.org\nnameserver 169.254.1.1\n"


def test_a_kernel_without_filters_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a filter of system calls cannot be used, agents run in a sandbox without one, and the report says so."""
    program = tmp_path / "bwrap"
    program.write_text(
        '#!/bin/sh\n[ $1 = --version ] && echo bubblewrap 9.9\ncase "$*" in *--seccomp*) exit 1;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    found = boundary(settings(tmp_path / "home", "required"))
    assert isinstance(found.sandbox, Bubblewrap)
    assert found.report.detail.startswith("bubblewrap 9.9 without a filter of system calls, ")
    assert found.sandbox.system_calls(Resident(tmp_path, tmp_path, {})) == b""


def test_sockets_for_names_and_those_that_the_operator_shows_stay_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All sockets are hidden but those of name resolution, in a shown folder, and in a writable folder."""
    shown, writable, other = (tmp_path / name / "s.sock" for name in ("shown", "writable", "other"))
    names = Path("/run/systemd/resolve/io.systemd.Resolve")
    monkeypatch.setattr(bubblewrap, "sockets", lambda **_: [shown, writable, other, names])
    for path in (shown, writable):
        path.parent.mkdir()
    rules = Rules(tmp_path / "home", writable=(writable.parent,), visible=(shown.parent,))
    # Not /tmp, which each session replaces.
    monkeypatch.setattr(bubblewrap, "TMP", Path("/replaced"))
    resolved = bubblewrap.described(rules, Resident(tmp_path / "w", tmp_path / "s", {})).resolved()
    assert {path for path in (shown, writable, other, names) if path in resolved} == {other}
    assert resolved[other].hidden


def test_every_key_of_a_certificate_set_and_every_file_of_a_secret_is_hidden(tmp_path: Path) -> None:
    """`heddle certs` writes the keys of all services into one folder: an agent of one could use those of others."""
    written = certificates.make_set(tmp_path / "certificates", ["localhost"], ["local"])
    (tmp_path / "certificates" / "notes.txt").write_text("not secret")
    token = tmp_path / "token-of-operator"
    token.write_text("secret")
    environ = {
        "HEDDLE_HOME": str(tmp_path / "home"),
        "HEDDLE_TLS_CERT": str(tmp_path / "certificates" / "worker-local.pem"),
        "HEDDLE_TLS_KEY": str(tmp_path / "certificates" / "worker-local-key.pem"),
        "HEDDLE_TLS_CA": str(tmp_path / "certificates" / "ca.pem"),
        "HEDDLE_TOKEN_FILE": str(token),
    }
    rules = Rules.of(Settings.read(environ), environ)
    assert set(rules.secrets) == {*(path for path in written if path.name.endswith("-key.pem")), token}


@pytest.mark.parametrize("mode", [0o700, 0o710, 0o701])
def test_a_socket_out_of_reach_needs_no_mount(monkeypatch: pytest.MonkeyPatch, mode: int) -> None:
    """In a user namespace, root reaches nothing in a closed folder of another user, and could not hide it there."""
    # Everyone may enter the folders above it, unlike those of pytest.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        path = Path(name, "closed", "s.sock")
        path.parent.mkdir()
        path.parent.chmod(mode)
        monkeypatch.setattr(bubblewrap, "sockets", lambda: [path])
        rules, resident = Rules(Path(name, "home")), Resident(Path(name, "w"), Path(name, "s"), {})

        def hidden(*, maps_one_user: bool) -> bool:
            return path in bubblewrap.described(rules, resident, maps_one_user=maps_one_user).resolved()

        assert hidden(maps_one_user=True)
        monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
        monkeypatch.setattr(os, "getegid", lambda: 4_000_000)
        monkeypatch.setattr(os, "getgroups", list)
        assert hidden(maps_one_user=True) is bool(mode & 0o001)
        assert hidden(maps_one_user=False)
        group = path.parent.stat().st_gid
        monkeypatch.setattr(os, "getgroups", lambda: [group])
        assert hidden(maps_one_user=True) is bool(mode & 0o011)
