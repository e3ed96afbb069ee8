from pathlib import Path

from agent_svc.sandbox.mounts import Mounts
from agent_svc.sandbox.own_folder import OwnFolder


def joined(mounts: Mounts) -> str:
    return " ".join(mounts.arguments())


def test_everything_is_read_only_but_what_is_named() -> None:
    """Parents are mounted before their children, whatever the order of the input."""
    mounts = Mounts()
    mounts.writable(Path("/data/tree"))
    mounts.read_only(Path("/data/tree/.git"))
    mounts.writable(Path("/data"), Path("/other"))
    assert joined(mounts) == (
        "--ro-bind / / --dev /dev --bind /other /data --bind /data/tree /data/tree"
        " --ro-bind /data/tree/.git /data/tree/.git"
    )


def test_a_hidden_folder_is_closed_once_it_is_filled() -> None:
    """A hidden folder is made read-only after its mount points are created."""
    mounts = Mounts()
    mounts.empty(Path("/data"))
    mounts.writable(Path("/data/mine"))
    assert joined(mounts).endswith("--tmpfs /data --bind /data/mine /data/mine --remount-ro /data")


def test_what_must_be_seen_is_shown_only_where_it_is_not() -> None:
    """A visible path gets its own mount only if it is below a hidden or replaced folder."""
    mounts = Mounts()
    mounts.empty(Path("/data"))
    mounts.writable(Path("/tmp"), Path("/data/scratch"))  # noqa: S108 (nothing is written)
    mounts.visible([Path("/usr/lib"), Path("/data/programs"), Path("/data/programs/bin"), Path("/tmp/x")])  # noqa: S108 (a path in the sandbox)
    arguments = joined(mounts)
    assert "--ro-bind /data/programs /data/programs" in arguments
    assert "--ro-bind /tmp/x /tmp/x" in arguments
    assert "/usr/lib" not in arguments
    assert "/data/programs/bin" not in arguments


def test_devices_stay_devices() -> None:
    """A path below /dev that the operator allows can be used as a device."""
    mounts = Mounts()
    mounts.writable(Path("/dev/kvm"))
    assert joined(mounts).endswith("--dev-bind /dev/kvm /dev/kvm")


def test_an_agents_own_folder_follows_its_environment() -> None:
    """The agent's variable is used first, then the home; without either there is no folder."""
    folder = OwnFolder(".agent", variable="AGENT_HOME")
    assert folder.path({"HOME": "/home/ada"}) == Path("/home/ada/.agent")
    assert folder.path({"HOME": "/home/ada", "AGENT_HOME": "/agent"}) == Path("/agent")
    assert folder.path({}) is None


def test_what_is_masked_is_hidden_where_it_would_be_shown() -> None:
    """A mask hides a folder or file that is shown; another call for the same path, or a hidden parent, replaces it."""
    mounts = Mounts()
    mounts.empty(Path("/data"))
    mounts.writable(Path("/home/.cache"))
    for path in ("/home/.ssh", "/data/.ssh", "/home/.cache", "/home/.cache/keys"):
        mounts.mask(Path(path), folder=True)
    for path in ("/home/s.sock", "/home/.cache/s.sock"):
        mounts.mask(Path(path), folder=False, foreign=True)
    mounts.visible([Path("/home/.ssh/known_hosts")])
    resolved = mounts.resolved()
    hidden = {str(path) for path, mount in resolved.items() if mount.hidden}
    assert hidden == {"/data", "/home/.ssh", "/home/.cache/keys", "/home/s.sock"}
    assert resolved[Path("/home/.cache")].writable
    assert resolved[Path("/home/.ssh/known_hosts")].source == Path("/home/.ssh/known_hosts")
    assert list(resolved).index(Path("/home/.ssh")) < list(resolved).index(Path("/home/.ssh/known_hosts"))
    assert "--ro-bind /dev/null /home/s.sock" in joined(mounts)
