"""The profile for macOS, as text: no Mac has run it."""

from pathlib import Path

import pytest

from agent_svc.sandbox.bubblewrap import NoSandboxError, Resident, described
from agent_svc.sandbox.mounts import Mounts
from agent_svc.sandbox.own_folder import OwnFolder
from agent_svc.sandbox.private_folders import PrivateFolder
from agent_svc.sandbox.rules import Network, Rules
from agent_svc.sandbox.seatbelt import Seatbelt, profile


def lines(mounts: Mounts, network: Network = "open") -> list[str]:
    return profile(mounts.resolved(), network).splitlines()


def test_only_what_is_writable_can_be_written() -> None:
    """Writing is denied everywhere first; the rules of a path come after those of its parents and replace them."""
    mounts = Mounts()
    mounts.writable(Path("/data/tree"))
    mounts.read_only(Path("/data/tree/.git"))
    found = lines(mounts)
    deny = found.index("(deny file-write*)")
    tree = found.index('(allow file-read* file-write* (subpath "/data/tree"))')
    pointer = found.index('(deny file-write* (subpath "/data/tree/.git"))')
    assert deny < tree < pointer
    assert found[0] == "(version 1)"


def test_what_is_hidden_can_neither_be_read_nor_connected_to() -> None:
    """A hidden path, and one that Linux replaces, is denied; what is shown within it is allowed again."""
    mounts = Mounts()
    mounts.empty(Path("/data"))
    mounts.mask(Path("/home/.ssh"), folder=True)
    mounts.mask(Path("/home/.netrc"), folder=False)
    mounts.writable(Path("/tmp"), Path("/data/scratch"))  # noqa: S108 (a path in the sandbox)
    mounts.visible([Path("/data/programs")])
    found = lines(mounts)
    for path in ("/data", "/home/.ssh", "/home/.netrc", "/tmp"):  # noqa: S108 (same)
        assert f'(deny file-read* file-write* (subpath "{path}"))' in found
        assert f'(deny network-outbound (subpath "{path}"))' in found
    shown = found.index('(allow file-read* (subpath "/data/programs"))')
    assert found.index('(deny file-read* file-write* (subpath "/data"))') < shown


def test_the_network_follows_the_rules() -> None:
    """`internet` denies loopback, `none` everything; names are resolved unless there is no network."""
    names = '(allow network-outbound (literal "/private/var/run/mDNSResponder"))'
    assert "(deny network*)" not in lines(Mounts())
    assert names in lines(Mounts())
    assert '(deny network-outbound (remote ip "localhost:*"))' in lines(Mounts(), "internet")
    assert "(deny network*)" in lines(Mounts(), "none")
    assert names not in lines(Mounts(), "none")


def test_other_programs_do_not_act_for_a_session() -> None:
    """A session signals only its own processes, and starts nothing through launchd, Apple events or `open`."""
    found = lines(Mounts())
    assert found.index("(deny signal)") < found.index("(allow signal (target same-sandbox))")
    assert {"(deny appleevent-send)", "(deny job-creation)", "(deny lsopen)"} <= set(found)


def test_unusual_paths_stay_within_their_quotes() -> None:
    """A quote or a backslash in a path cannot add a rule."""
    mounts = Mounts()
    mounts.writable(Path('/data/a"))(allow file-write* (subpath "/b\\'))
    assert (
        '(allow file-read* file-write* (subpath "/data/a\\"))(allow file-write* (subpath \\"/b\\\\"))'
        in lines(mounts)
    )


def test_both_sandboxes_enforce_the_same_description(tmp_path: Path) -> None:
    """Each path that bubblewrap makes writable is writable in the profile, and no other."""
    home, user, worktree = tmp_path / "home", tmp_path / "user", tmp_path / "worktree"
    for each in (user / ".ssh", worktree, home / "scratch"):
        each.mkdir(parents=True)
    (user / ".agent").mkdir()
    own = PrivateFolder(OwnFolder(".agent"), user / ".agent", home / "own", home / "kept")
    resident = Resident(worktree, home / "scratch", {"HOME": str(user)}, (own,))
    mounts = described(Rules(home), resident)
    arguments = mounts.arguments()
    binds = {arguments[at + 2] for at, word in enumerate(arguments) if word == "--bind"} - {"/tmp"}  # noqa: S108 (hidden on macOS)
    wrapper = Seatbelt(Rules(home)).wrapper(resident)
    allowed = {
        line.split('"')[1]
        for line in wrapper[2].splitlines()
        if line.startswith("(allow file-read* file-write*")
    }
    assert binds == allowed == {str(worktree), str(home / "scratch"), str(user / ".agent")}
    assert f'(deny file-read* file-write* (subpath "{user / ".ssh"}"))' in wrapper[2]
    assert wrapper[:2] == ("/usr/bin/sandbox-exec", "-p")
    assert wrapper[-1] == "--"


def test_seatbelt_is_for_macos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On other systems there is no sandbox-exec, and the reason says so."""
    monkeypatch.setattr("platform.system", lambda: "Linux")
    with pytest.raises(NoSandboxError, match="macOS only"):
        Seatbelt.find(Rules(tmp_path))
