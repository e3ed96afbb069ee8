"""The write boundary: an agent cannot write outside its worktree.

Each attack also runs without a sandbox, where it must succeed; otherwise it would prove nothing.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_svc.sandbox import bubblewrap
from agent_svc.sandbox.rules import Rules
from heddle import pb
from tests.support import worktrees
from tests.support.agents import AgentProcess, Agents, agents, ending, output, payloads
from tests.support.programs import need_sandbox
from tests.support.repositories import git, make_repository
from tests.support.worktrees import attempt

# Replaces the content of an accepted file in the repository, without changing any name.
SWAP = (
    "name=$(git rev-parse HEAD:README.md) && file=$PROJECT/.git/objects/$(echo $name | cut -c1-2)/$(echo $name | cut -c3-)"
    " && test -f $file && rm -f $file && echo forged > $file"
)

# Shell commands that succeed if they did harm. PROJECT is the user's checkout, OTHER another
# epic's worktree, DATA is HEDDLE_HOME, GIT the worktree's own git folder, SERVICE agent_svc's process.
ATTACKS = {
    "other worktree": "echo x > $OTHER/README.md",
    "checkout": "echo x > $PROJECT/README.md",
    "git config": "git config core.hooksPath /evil",
    "config file": "echo '[core]' >> $PROJECT/.git/config",
    "hook": "echo x > $PROJECT/.git/hooks/pre-commit",
    "other branch": "cd $PROJECT && git update-ref refs/heads/main $(git commit-tree -m x HEAD^{tree})",
    "branch of the epic": "echo x > $PROJECT/.git/refs/heads/heddle/r/epics/e",
    "packed refs": "echo >> $PROJECT/.git/packed-refs",
    "registration": "echo x > $PROJECT/.git/worktrees/e/HEAD",
    "new object": "touch $PROJECT/.git/objects/evil",
    "existing object": SWAP,
    "own alternates": "echo /evil >> $(git rev-parse --git-common-dir)/objects/info/alternates",
    "accepted work": "git update-ref -d refs/heddle/accepted/r1/api",
    "new ref": "echo x > $PROJECT/.git/refs/heads/evil",
    "alternates": "echo /evil > $PROJECT/.git/objects/info/alternates",
    "packs": "touch $PROJECT/.git/objects/pack/evil",
    "pointer": "echo 'gitdir: /evil' > .git.new && mv .git.new .git",
    "common folder": "echo /evil > $GIT/commondir",
    "config of the worktree": "echo '[core]' > $GIT/config.worktree && test -s $GIT/config.worktree",
    "view of the repository": "ln -sfn /evil $(git rev-parse --git-common-dir)/description",
    "state of Heddle": "echo x > $DATA/worktrees/r1/api.json",
    "spool": "ls $DATA/spool/r",
    "home": "touch $HOME/evil",
    "link to a file": "ln -s $PROJECT/README.md out && echo x > out",
    "link to a folder": "ln -s $HOME folder && touch folder/evil",
    "hard link": "ln $PROJECT/README.md hard && echo x > hard",
    "root of the service": "echo x > /proc/$SERVICE/root$PROJECT/README.md",
    "folder of the service": "ls /proc/$SERVICE/cwd/",
    "signal": "kill -0 $SERVICE",
    "memory of the supervisor": "cat /proc/$PPID/environ",
}

# Too dangerous to run for real.
SANDBOX_ONLY = {
    "system": "touch /etc/heddle-test",
    "remount": "mount -o remount,rw /",
    "own mounts": "unshare --user --map-root-user --mount mount -o remount,bind,rw /",
    "kernel": "test -w /proc/sys/kernel/core_pattern",
    "root of process 1": "cd /proc/1/root && touch etc/heddle-test",
    "device": "mknod device b 8 0 && head -c 1 device",
    "sockets": "ls /run/* | grep .",
}


@dataclass
class Ground:
    """A worker whose sessions start in the worktree of an epic, and the surrounding folders."""

    agents: Agents
    worktrees: worktrees.Worker
    worktree: Path
    environment: dict[str, str]
    sessions: int = 0

    async def run(self, shell: str, **checks: str) -> list[pb.Event]:
        self.sessions += 1
        return await self.agents.run(
            f"command:{shell}", number=self.sessions, checks=checks, environment=self.environment
        )

    async def attack(self, attacks: dict[str, str]) -> set[str]:
        """Runs all attacks in one session and returns the names of those that succeeded."""
        script = "".join(
            f"( {shell} ) >/dev/null 2>&1 && echo 'BROKE {name}'\n" for name, shell in attacks.items()
        )
        events = await self.run(f"{script}true")
        assert ending(events)[0] == "SUCCEEDED"
        return {line.removeprefix("BROKE ") for line in output(events).splitlines()}


@pytest.fixture(name="folder")
def _folder() -> Iterator[Path]:
    """A folder that is visible in a sandbox, unlike folders below /tmp."""
    path = Path(tempfile.mkdtemp(prefix="heddle-test-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path)


@asynccontextmanager
async def ground(folder: Path, **environ: str) -> AsyncIterator[Ground]:
    project = make_repository(folder / "project", {"README.md": "# Sample\n"})
    user = folder / "user"
    user.mkdir()
    async with (
        worktrees.worker(folder / "home", project) as trees,
        agents(
            folder, await trees.ready(attempt("e", "t", run="r")), HEDDLE_STOP_GRACE="5", **environ
        ) as worker,
    ):
        worktree = worker.worktree
        other = await trees.ready(attempt("api", "one"))
        await trees.commit(attempt("api", "one"))
        environment = {
            "PROJECT": str(project),
            "OTHER": str(other),
            "DATA": str(folder / "home"),
            "GIT": git(worktree, "rev-parse", "--absolute-git-dir"),
            "HOME": str(user),
            "SERVICE": str(os.getpid()),
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "user.name",
            "GIT_CONFIG_VALUE_0": "Agent",
            "GIT_CONFIG_KEY_1": "user.email",
            "GIT_CONFIG_VALUE_1": "agent@example.com",
        }
        yield Ground(worker, trees, worktree, environment)


def around(folder: Path) -> dict[str, bytes]:
    """Returns every file that no session may change: the whole repository, and other worktrees."""
    files = [*folder.glob("user/**/*"), *folder.glob("project/**/*"), *folder.glob("home/worktrees/r1/**/*")]
    return {str(path): path.read_bytes() for path in files if path.is_file()}


async def test_attacks_work_where_nothing_holds_them(folder: Path) -> None:
    """Without a sandbox, every attack in this file succeeds."""
    async with ground(folder, HEDDLE_SANDBOX="off") as it:
        # Run one after another, each attack would break the next one's worktree.
        broke = set()
        for names in (ATTACKS.keys() - {"pointer", "common folder", "accepted work"}, {"accepted work"}):
            broke |= await it.attack({name: ATTACKS[name] for name in ATTACKS if name in names})
        broke |= await it.attack({name: ATTACKS[name] for name in ("common folder", "pointer")})
    # Only root can read a supervisor's memory.
    expected = set(ATTACKS) - (set() if os.geteuid() == 0 else {"memory of the supervisor"})
    assert broke == expected


async def test_attacks_fail_in_the_sandbox(folder: Path) -> None:
    """In a sandbox no attack succeeds, nothing outside changes, and a check is as restricted as the agent."""
    need_sandbox()
    async with ground(folder, HEDDLE_SANDBOX="required") as it:
        before = around(folder)
        assert await it.attack(ATTACKS | SANDBOX_ONLY) == set()
        (events,) = payloads(await it.run("true", c=ATTACKS["checkout"]), "check_finished")
        assert "Read-only file system" in events.check_finished.output
        assert around(folder) == before
        assert not Path("/etc/heddle-test").exists()


async def test_attacks_fail_where_proc_is_shared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a container forbids a new /proc, other processes are visible and can be ended, but nothing more.

    A socket in a closed folder of another user, whom a user namespace does not know, prevents no sandbox.
    """
    need_sandbox()
    monkeypatch.setattr(bubblewrap, "WAYS", bubblewrap.WAYS[1:])
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(closed / "s"))
        if os.geteuid() == 0:
            os.chown(closed, 65534, 65534)
        await _attacks_fail(folder)


async def _attacks_fail(folder: Path) -> None:
    async with ground(folder, HEDDLE_SANDBOX="required") as it:
        before = around(folder)
        assert await it.attack(ATTACKS | SANDBOX_ONLY) == {"signal"}
        assert around(folder) == before


async def test_work_in_the_sandbox_is_accepted(folder: Path) -> None:
    """A sandboxed agent can write its worktree and temporary folder and commit, and its work is accepted."""
    need_sandbox()
    work = (
        "set -e; echo mine > new.txt; git add --all; git commit --quiet --message=Mine; git log --oneline"
        " | grep -q Mine; mktemp; touch /tmp/heddle-test; ls $TMPDIR/heddle-test; echo more >> README.md; git stash list;"
        " git stash; grep more README.md && exit 1; git stash pop; git stash list | grep . && exit 1; true"
    )
    async with ground(folder, HEDDLE_SANDBOX="required") as it:
        events = await it.run(work, c="git log --format=%s -1 | grep Mine && test -e new.txt")
        assert ending(events) == ("SUCCEEDED", ""), output(events, pb.OUTPUT_STREAM_STDERR)
        assert not Path("/tmp/heddle-test").exists()  # noqa: S108 (the exact name that the agent used)
        commit = (await it.worktrees.commit(attempt("e", "t", run="r"))).commit
        assert it.worktrees.git("show", f"{commit}:new.txt") == "mine"
        assert it.worktrees.git("show", f"{commit}:README.md") == "# Sample\nmore"
        it.worktrees.git("fsck", "--strict")


async def test_operator_allows_more(folder: Path) -> None:
    """HEDDLE_SANDBOX_WRITABLE adds paths that every agent may write."""
    need_sandbox()
    cache = folder / "cache"
    cache.mkdir()
    async with ground(folder, HEDDLE_SANDBOX="required", HEDDLE_SANDBOX_WRITABLE=f"{cache},/absent") as it:
        events = await it.run(f"echo kept > {cache}/file && ! touch {folder}/other")
        assert ending(events)[0] == "SUCCEEDED"
    assert (cache / "file").read_text() == "kept\n"


async def test_secrets_are_out_of_reach(folder: Path) -> None:
    """A sandbox hides the service's environment, its files below HEDDLE_HOME, and its private key."""
    need_sandbox()
    home, key = folder / "home", folder / "key.pem"
    home.mkdir()
    for file in (home / "heddle.db", key):
        file.write_text("canary-7d21")
    look = (
        f"env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; cat {home}/heddle.db; grep -r canary- {home};"
        f" ls {home}/spool"
    )
    service = AgentProcess(folder, HEDDLE_SANDBOX="required", CANARY="canary-7d21")
    async with service.serving() as worker:
        events = await worker.run(f"command:({look}) 2>/dev/null | tr '\\0' '\\n'; echo looked")
    assert "canary-7d21" not in output(events)
    assert output(events).splitlines()[-1] == "looked"
    # The name of a run whose sessions are stored there.
    assert "r" not in output(events).splitlines()
    resident = bubblewrap.Resident(folder, folder, os.environ)
    wrapper = bubblewrap.Bubblewrap.find(Rules(home, secrets=(key,))).wrapper(resident)
    cat = [*wrapper, "cat", str(key)]
    done = await asyncio.to_thread(subprocess.run, cat, capture_output=True, check=False)
    assert done.returncode
    assert b"canary" not in done.stdout


def test_a_linked_virtual_environment_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python's environment is a link to a folder that the sandbox hides, the supervisor can still start."""
    need_sandbox()
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "link"))
    sandbox = bubblewrap.Bubblewrap.find(Rules(tmp_path / "home"))
    resident = bubblewrap.Resident(scratch, scratch, os.environ)
    for name in ("real", "link"):
        look = [*sandbox.wrapper(resident), "/bin/sh", "-c", f"test -d {tmp_path / name} && echo shown"]
        done = subprocess.run(look, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "shown\n"), done.stderr
