"""Epics of a project by path at other workers, which reach the user's repository through the worker that has it."""

import random
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from heddle import pb, urls
from heddle.config import ConfigError, Settings
from heddle.rpc.serving import AddressInUseError
from tests.integration.worktree.test_places import known
from tests.support import certificates, worktrees
from tests.support.ports import free_ports
from tests.support.repositories import fast_import, git
from tests.support.worktrees import Worker, attempt, fingerprint, refused
from worktree_svc.app import build

EPIC = "runs/r1/epics/api"
BRANCH = "heddle/r1/epics/api"
REFS = ("refs/heddle/claim/r1/api", "refs/heddle/accepted/r1/api", f"refs/heads/{BRANCH}")


@pytest.fixture
async def workers(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Worker, Worker]]:
    """The worker that has a project, and another one, both with TLS."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (port,) = free_ports(1)
    tls = certificates.environment(certificates.make(tmp_path / "tls", "worker-local"))
    async with AsyncExitStack() as stack:
        home, place = [
            await stack.enter_async_context(worktrees.worker(tmp_path / name, project, more={**tls, **more}))
            for name, more in (("home", {"HEDDLE_GIT_LISTEN": f"127.0.0.1:{port}"}), ("place", {}))
        ]
        yield home, replace(place, url=urls.of_worker("home", str(project)))


async def granted(home: Worker, place: Worker, generation: int, epic: str = EPIC) -> Worker:
    """Returns a worker as the place of an epic in a generation, with access."""
    asked = pb.GrantRepositoryRequest(project=str(home.project), epic=epic, generation=generation, epoch=1)
    answer = await home.stub.GrantRepository(asked)
    return replace(place, generation=generation, access=answer.access)


async def work(place: Worker, number: int, head: str, base: str) -> str:
    """Has an attempt write one file on top of the last accepted commit; returns what was accepted."""
    name = attempt(task=f"t{number}")
    ready = await place.ensure(name, base, known=known(head))
    assert ready.worktree.head_commit == (head or base)
    (Path(ready.worktree.path) / f"{number}.txt").write_text(f"{number}\n")
    done = await place.commit(name)
    assert done.push_error == ""
    return done.commit


async def test_an_epic_of_a_project_by_path_moves_between_workers(workers: tuple[Worker, Worker]) -> None:
    """Its commits come back to the user's repository; each earlier place is refused, at home too; the user's things stay as they are."""
    home, place = workers
    project = home.project
    base = git(project, "rev-parse", "main")
    # On no branch any more, and changes of the user.
    (project / "README.md").write_text("# Mine\n")
    git(project, "add", "README.md")
    (project / "src" / "app.py").write_text("print('mine')\n")
    git(project, "stash")
    git(project, "checkout", "--quiet", "--orphan", "other")
    git(project, "commit", "--quiet", "--message=Other")
    git(project, "branch", "--quiet", "--delete", "--force", "main")
    (project / "README.md").write_text("# Mine\n")
    before = fingerprint(project)

    first = await work(await granted(home, place, 1), 1, "", base)
    assert git(project, "rev-parse", *REFS[1:]).split() == [first, first]
    late = await granted(home, place, 1)
    path = Path((await late.ensure(attempt(task="late"), base, known=known(first))).worktree.path)
    (path / "late.txt").write_text("late\n")

    second = await work(replace(home, generation=2), 2, first, base)
    error = await refused(late.commit(attempt(task="late")))
    assert error.reason == pb.ERROR_REASON_STALE_ATTEMPT
    path = Path((await replace(home, generation=2).ensure(attempt(task="late"), base)).worktree.path)
    (path / "late.txt").write_text("late\n")
    third = await work(await granted(home, place, 3), 3, second, base)
    error = await refused(replace(home, generation=2).commit(attempt(task="late")))
    assert error.reason == pb.ERROR_REASON_STALE_ATTEMPT
    assert git(project, "rev-parse", *REFS[1:]).split() == [third, third]

    merged = await home.merge(BRANCH, "heddle/r1/merged", base, known=known(third, elsewhere=True))
    names = git(project, "ls-tree", "--name-only", merged.merged.commit).split()
    assert {"1.txt", "2.txt", "3.txt"} <= set(names)
    assert "late.txt" not in names
    found = await home.predict(BRANCH, base=base)
    assert [list(each.paths) for each in found.changes] == [["1.txt", "2.txt", "3.txt"]]
    # What is left behind at home when its worker removes it does not reach the epic's refs.
    await home.remove(EPIC)
    assert git(project, "rev-parse", *REFS[1:]).split() == [third, third]
    assert await work(await granted(home, place, 3), 4, third, base)
    assert fingerprint(project) == before


async def test_an_epic_that_leaves_home_without_an_accepted_commit(workers: tuple[Worker, Worker]) -> None:
    """Refs that the worktree at home has made, or makes again when it is removed late, do not refuse the next place's work."""
    home, place = workers
    base = git(home.project, "rev-parse", "main")
    at_home = replace(home, generation=1)
    await at_home.ensure(attempt(task="t1"), base)
    away = await granted(home, place, 2)
    name = attempt(task="t1", number=2)
    path = Path((await away.ensure(name, base)).worktree.path)
    await at_home.remove(EPIC)
    assert git(home.project, "rev-parse", REFS[1]) == base
    (path / "2.txt").write_text("2\n")
    done = await away.commit(name)
    assert git(home.project, "rev-parse", *REFS[1:]).split() == [done.commit, done.commit]


async def test_submitted_work_and_resolutions_reach_the_next_place(workers: tuple[Worker, Worker]) -> None:
    """Work that waits for a review comes back to the repository, from where a reviewer at home has its files."""
    home, place = workers
    base = git(home.project, "rev-parse", "main")
    away = await granted(home, place, 1)
    name, reviewer = attempt(), attempt(number=2)
    path = Path((await away.ensure(name, base)).worktree.path)
    (path / "b.txt").write_text("b\n")
    request = pb.CommitTaskRequest(
        project=away.name, attempt=str(name), epoch=1, subject="Work", submit=True, generation=1
    )
    request.access.CopyFrom(away.access or pb.RepositoryAccess())
    submitted = await away.stub.CommitTask(request)
    ready = await replace(home, generation=2).ensure(reviewer, base, earlier=name)
    assert (Path(ready.worktree.path) / "b.txt").read_text() == "b\n"
    accepted = pb.CommitTaskRequest(
        project=home.name,
        attempt=str(name),
        epoch=1,
        submitted_commit=submitted.commit,
        owner_attempt=str(reviewer),
        generation=2,
    )
    done = await home.stub.CommitTask(accepted)
    assert git(home.project, "rev-parse", REFS[1]) == done.commit == submitted.commit


async def test_a_token_reaches_one_project_and_the_refs_of_one_epic(
    workers: tuple[Worker, Worker], tmp_path: Path
) -> None:
    """With a token, git itself can read the project and change only the epic's refs; nothing works without one, or later."""
    home, place = workers
    project = home.project
    access = (await granted(home, place, 1)).access
    assert access is not None
    other = (await granted(home, place, 1, "runs/r1/epics/web")).access
    reader = (await granted(home, place, 0)).access
    assert other is not None
    assert reader is not None
    tls = certificates.of(tmp_path / "tls", "worker-local")
    files = {"sslCert": tls.certificate, "sslKey": tls.key, "sslCAInfo": tls.authority}
    clone = tmp_path / "clone"

    def attacker(token: str, *arguments: str, url: str = access.url) -> subprocess.CompletedProcess[str]:
        options = [part for key, value in files.items() for part in ("-c", f"http.{key}={value}")]
        header = ("-c", f"http.extraHeader=Authorization: Bearer {token}")
        command = ["git", *options, *header, *arguments]
        place = clone if clone.exists() else tmp_path
        command = [url if each == "URL" else each for each in command]
        return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, env=_NO_PROMPT)

    git(project, "update-ref", "refs/stash", "main")
    git(project, "update-ref", "refs/heddle/accepted/other/api", "main")
    git(project, "branch", "heddle/old/epics/api", "main")
    before = git(project, "for-each-ref")
    assert attacker(access.token, "clone", "--quiet", "URL", str(clone)).returncode == 0
    shown = attacker(access.token, "ls-remote", "URL").stdout
    assert "refs/heads/main" in shown
    assert "stash" not in shown
    assert "other" not in shown
    # The branches of other runs can be read, but are not listed for each push: they may be thousands.
    assert "refs/heads/heddle/old/epics/api" in shown
    unlisted = attacker(access.token, "push", "URL", ":heddle/old/epics/api")
    assert "remote ref does not exist" in unlisted.stderr
    git(clone, "branch", "--force", "main", "origin/main")
    # So large that git first asks whether it may push.
    fast_import(clone, "evil", {"evil.txt": random.Random(1).randbytes(1 << 20).hex()}, "main")
    claim = f"evil:{REFS[0]}"
    for token, *specs in (
        (access.token, "evil:refs/heads/main"),
        (access.token, "evil:refs/heads/evil"),
        (access.token, claim, "evil:refs/tags/v1"),
        (access.token, f"evil:{REFS[1]}"),
        (access.token, f":{REFS[0]}"),
        (access.token, "evil:refs/heddle/claim/r1/web"),
        (access.token, "evil:refs/heddle/merged/r1"),
        (other.token, claim),
        (reader.token, claim),
        ("", claim),
        (f"{access.token}0", claim),
    ):
        pushed = attacker(token, "push", "--atomic", "URL", *specs)
        assert pushed.returncode, specs
        assert git(project, "for-each-ref") == before, specs
    elsewhere = access.url.rpartition("/")[0]
    for url in (f"{elsewhere}/0123456789abcdef.git", f"{access.url}/objects"):
        assert attacker(access.token, "ls-remote", "URL", url=url).returncode
    # Not a vector that is closed by something else: the same push of the epic's own refs is accepted.
    own = attacker(access.token, "push", "--atomic", "URL", claim, *(f"evil:{ref}" for ref in REFS[1:]))
    assert own.returncode == 0, own.stderr
    # Without a certificate, not even the token counts.
    files = {"sslCAInfo": tls.authority}
    assert attacker(access.token, "ls-remote", "URL").returncode
    for folder in (home.home, place.home):
        assert not [each for each in folder.rglob("config") if access.token in each.read_text()]


async def test_what_needs_the_users_disk_stays_at_home(
    workers: tuple[Worker, Worker], tmp_path: Path
) -> None:
    """A run learns whether its epics can have places; without HEDDLE_GIT_LISTEN, or in a clone that lacks commits, they cannot."""
    home, place = workers
    found = await home.inspect()
    assert (found.served, found.not_served) == (True, "")
    found = await place.inspect(home.project)
    assert (found.served, found.not_served) == (False, "")
    asked = pb.GrantRepositoryRequest(project=str(home.project), epic=EPIC, generation=1, epoch=1)
    assert (await refused(place.stub.GrantRepository(asked))).reason == pb.ERROR_REASON_CLAIM_REFUSED
    for files, why in (
        ({".heddle.yaml": "copy: [.env]\n"}, ".heddle.yaml copies files of the checkout (.env)"),
        ({"a/.gitattributes": "*.bin filter=lfs -text\n"}, "it uses a filter"),
        ({".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = ../x\n'}, "it has submodules"),
    ):
        git(home.project, "update-ref", "-d", "refs/heads/odd")
        fast_import(home.project, "odd", files, "main")
        (home.project / ".env").touch()
        found = await home.inspect(base="odd")
        assert not found.served
        assert found.not_served.startswith(why)
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{home.project}", str(shallow))
    assert "shallow" in (await home.inspect(shallow)).not_served
    asked.project = str(shallow)
    assert (await refused(home.stub.GrantRepository(asked))).reason == pb.ERROR_REASON_CLAIM_REFUSED


async def test_a_place_waits_for_the_worker_that_has_the_project(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While that worker is away, or with a token of its earlier process, nothing is accepted; the same call works later."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (port,) = free_ports(1)
    more = {"HEDDLE_GIT_LISTEN": f"127.0.0.1:{port}"}
    base = git(project, "rev-parse", "main")
    async with worktrees.worker(tmp_path / "place", project) as without_access:
        other = replace(without_access, url=urls.of_worker("home", str(project)))
        async with worktrees.worker(tmp_path / "home", project, more=more) as home:
            place = await granted(home, other, 1)
            path = Path((await place.ensure(attempt(), base)).worktree.path)
            (path / "b.txt").write_text("b\n")
        assert (await refused(place.commit(attempt()))).reason == pb.ERROR_REASON_PROJECT_UNAVAILABLE
        # Another folder: in one process, git processes of both workers hold the lock of the first.
        async with worktrees.worker(tmp_path / "again", project, more=more) as home:
            assert (await refused(place.commit(attempt()))).reason == pb.ERROR_REASON_PROJECT_UNAVAILABLE
            done = await (await granted(home, other, 1)).commit(attempt())
            assert git(project, "rev-parse", REFS[1]) == done.commit
            # A clone that is lost is made again.
            shutil.rmtree(other.home / "mirrors")
            ready = await (await granted(home, other, 1)).ensure(
                attempt(task="two"), base, known=known(done.commit)
            )
            assert ready.worktree.head_commit == done.commit


def test_the_listener_is_for_this_machine_or_has_tls(tmp_path: Path) -> None:
    """Without TLS, it listens on loopback only; and the other workers must be told an address that they can reach."""
    tls = certificates.environment(certificates.make(tmp_path / "tls"))
    (port,) = free_ports(1)
    for environment, words in (
        ({"HEDDLE_GIT_LISTEN": f"0.0.0.0:{port}"}, "TLS is off"),
        ({"HEDDLE_GIT_LISTEN": f"0.0.0.0:{port}", **tls}, "HEDDLE_GIT_ADVERTISE"),
    ):
        settings = Settings.read({"HEDDLE_HOME": str(tmp_path / words), **environment})
        with pytest.raises(ConfigError, match=words):
            build(settings)
    with pytest.raises(AddressInUseError, match="HEDDLE_GIT_LISTEN"):
        build(
            Settings.read({"HEDDLE_HOME": str(tmp_path / "other"), "HEDDLE_GIT_LISTEN": "192.0.2.1:1", **tls})
        )


_NO_PROMPT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
}
