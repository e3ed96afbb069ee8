"""Copies, links and ports that a project file provides in worktrees. They are never committed."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from heddle import pb
from heddle.files.worktree_paths import shared_folders
from tests.integration.worktree.test_crashes import SERVICE, persist
from tests.support import worktrees
from tests.support.fleet import Fleet
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, fingerprint, refused

CHECKOUT = pb.LINK_SOURCE_CHECKOUT
CACHE = pb.LINK_SOURCE_CACHE


def link(path: str, source: "pb.LinkSource.ValueType" = CHECKOUT) -> pb.LinkedFolder:
    return pb.LinkedFolder(path=path, source=source)


def commit_file(project: Path, text: str) -> None:
    (project / ".heddle.yaml").write_text(text)
    git(project, "add", ".heddle.yaml")
    git(project, "commit", "--quiet", "--message=Configure")


def bind_all(ports: list[int]) -> None:
    """Listens on every port at once; fails if one is in use."""
    with ExitStack() as listening:
        for port in ports:
            listening.enter_context(socket.create_server(("127.0.0.1", port)))


async def test_the_file_is_read_as_committed(worker: Worker) -> None:
    """InspectProject returns the project file of the base commit, whatever is in the checkout, if it exists."""
    assert not (await worker.inspect()).HasField("project_file")
    commit_file(worker.project, "ports: 2\nsetup: make deps\n")
    (worker.project / ".heddle.yaml").write_text("setup: rm -rf /\n")
    found = (await worker.inspect(base="main")).project_file
    assert found == pb.ProjectFile(ports=2, setup=["make deps"])
    assert not (await worker.inspect(base="main~1")).HasField("project_file")


async def test_errors_are_reported_with_their_lines(worker: Worker) -> None:
    """Malformed values, missing files, links that lead out and too many ports are all reported at once."""
    commit_file(worker.project, "ports: many\nsetpu: x\n")
    error = await refused(worker.inspect())
    assert error.reason == pb.ERROR_REASON_INVALID_PROJECT_FILE
    assert ".heddle.yaml:1:1: ports: is 'many'" in error.message
    assert ".heddle.yaml:2:1: setpu: unknown key, did you mean setup?" in error.message

    (worker.project / "outside").symlink_to("/etc/hostname")
    (worker.project / "etc").symlink_to("/etc")
    (worker.project / "lib").symlink_to("/usr/lib")
    commit_file(
        worker.project,
        "copy:\n  - .env\n  - outside\n  - README.md\n  - etc/hostname\n  - 'maybe*'\n"
        "link: [node_modules, lib, src]\n",
    )
    error = await refused(worker.inspect())
    assert [violation.field for violation in error.violations] == [
        "copy[0]",
        "copy[1]",
        "copy[2]",
        "copy[3]",
        "link[0].path",
        "link[1].path",
        "link[2].path",
    ]
    assert f".heddle.yaml:2:5: copy[0]: '.env' is not in {worker.project}" in error.message
    assert ".heddle.yaml:3:5: copy[1]: 'outside' is not a file of the checkout, or is a link" in error.message
    assert ".heddle.yaml:4:5: copy[2]: 'README.md' is tracked by git" in error.message


async def test_a_link_is_not_a_project_file(worker: Worker, tmp_path: Path) -> None:
    """A symlink in the file's place is refused, wherever it leads."""
    (tmp_path / "elsewhere.yaml").write_text("ports: 1\n")
    (worker.project / ".heddle.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    git(worker.project, "add", ".heddle.yaml")
    git(worker.project, "commit", "--quiet", "--message=Link")
    assert "plain file" in (await refused(worker.inspect())).message


@pytest.fixture
async def linking(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    """A worker whose operator allows links to node_modules of the checkout, and to folders below it."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    async with worktrees.worker(tmp_path / "home", project, linked=str(project / "node_modules")) as ready:
        yield ready


async def test_copies_and_links_are_provided_and_never_committed(linking: Worker) -> None:
    """Copies keep their modes, links point to shared folders, and neither is in commits or kept work."""
    worker = linking
    checkout = worker.project
    (checkout / ".env").write_text("SECRET=1\n")
    (checkout / ".env").chmod(0o600)
    (checkout / "certs" / "deep").mkdir(parents=True)
    (checkout / "certs" / "deep" / "a b [1].pem").write_text("pem\n")
    (checkout / "certs" / "inner").mkdir()
    git(checkout / "certs" / "inner", "init", "--quiet")
    (checkout / "certs" / "inner" / "no.pem").write_text("of another repository\n")
    (checkout / "node_modules").mkdir()
    (checkout / "node_modules" / "left-pad.js").write_text("pad\n")
    before = fingerprint(checkout)
    file = pb.ProjectFile(
        copy=[".env", "**/*.pem", "src/*"], link=[link("node_modules"), link(".cache/pip", CACHE)]
    )

    answer = await worker.ensure(attempt(), file=file)
    path = Path(answer.worktree.path)
    assert (path / ".env").read_text() == "SECRET=1\n"
    assert (path / ".env").stat().st_mode & 0o777 == 0o600
    assert (path / "certs" / "deep" / "a b [1].pem").read_text() == "pem\n"
    assert not (path / "certs" / "inner").exists()
    assert (path / "node_modules" / "left-pad.js").exists()
    (path / ".cache" / "pip" / "wheel").write_text("shared\n")
    assert set(shared_folders(path)) == {
        folder.resolve() for folder in (path / "node_modules", path / ".cache" / "pip")
    }

    (path / "work.txt").write_text("the agent's\n")
    (path / ".env").write_text("SECRET=changed\n")
    git(path, "add", "--force", "--all")
    git(path, "commit", "--quiet", "--message=All of it")
    await worker.ready(attempt(number=2))
    kept = "refs/heddle/attempts/r1/api/one/1"
    assert worker.git("diff", "--name-only", "main", kept).splitlines() == ["work.txt"]

    await worker.ensure(attempt(number=3), file=file)
    assert (path / ".env").read_text() == "SECRET=1\n"
    assert not (path / "work.txt").exists()
    (path / "more.txt").write_text("work\n")
    committed = await worker.commit(attempt(number=3))
    changed = worker.git("diff", "--name-only", "main", committed.commit)
    assert changed.splitlines() == ["more.txt"]

    other = Path((await worker.ensure(attempt("ui"), file=file)).worktree.path)
    assert (other / ".cache" / "pip" / "wheel").read_text() == "shared\n"
    await worker.remove("runs/r1/epics/api")
    assert (checkout / "node_modules" / "left-pad.js").exists()
    assert fingerprint(checkout) == before


async def test_a_repository_cannot_link_the_checkout_by_itself(worker: Worker) -> None:
    """A link to the checkout that the operator does not allow is an error which says what to set."""
    tools = worker.project / "node_modules" / ".bin"
    tools.mkdir(parents=True)
    (tools / "lint").write_text("precious\n")
    commit_file(worker.project, "link:\n  - node_modules\n  - {path: .cache, source: cache}\n")
    error = await refused(worker.inspect())
    assert error.reason == pb.ERROR_REASON_INVALID_PROJECT_FILE
    assert [violation.field for violation in error.violations] == ["link[0].path"]
    assert f"set HEDDLE_LINKED_CHECKOUTS={worker.project}/node_modules for worktree_svc" in error.message
    assert "{path: node_modules, source: cache}" in error.message

    # A run that was created earlier, with another setting, cannot use it either.
    for source in (CHECKOUT, pb.LINK_SOURCE_UNSPECIFIED):
        file = pb.ProjectFile(link=[link("node_modules", source)])
        assert "HEDDLE_LINKED_CHECKOUTS" in (await refused(worker.ensure(attempt(), file=file))).message


async def test_only_the_folders_that_the_operator_names_can_be_linked(linking: Worker) -> None:
    """A folder allows itself and what is below it; other folders, also through links to them, are refused."""
    checkout = linking.project
    (checkout / "node_modules" / "inner").mkdir(parents=True)
    (checkout / "tools").mkdir()
    (checkout / "node_modules" / "around").symlink_to(checkout / "tools")
    for path in ("node_modules", "node_modules/inner"):
        commit_file(checkout, f"link: [{path}]\n")
        assert (await linking.inspect()).project_file.link[0].path == path
    for path in ("tools", "node_modules/around"):
        commit_file(checkout, f"link: [{path}]\n")
        assert "HEDDLE_LINKED_CHECKOUTS" in (await refused(linking.inspect())).message


async def test_links_of_an_agent_are_not_followed(worker: Worker, tmp_path: Path) -> None:
    """A link that an agent left at the path of a copy is replaced; its target is not written."""
    (worker.project / "cache").mkdir()
    (worker.project / "cache" / "key").write_text("ours\n")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "key").write_text("theirs\n")
    file = pb.ProjectFile(copy=["cache/key"])
    path = Path((await worker.ensure(attempt(), file=file)).worktree.path)
    (path / "cache" / "key").unlink()
    (path / "cache").rmdir()
    (path / "cache").symlink_to(outside)
    (worker.project / ".git" / "info" / "exclude").write_text("/cache\n")
    await worker.ensure(attempt(number=2), file=file)
    assert (outside / "key").read_text() == "theirs\n"
    assert (path / "cache" / "key").read_text() == "ours\n"
    assert not (path / "cache").is_symlink()


async def test_ignored_files_stay_and_tracked_ones_come_back(worker: Worker) -> None:
    """The next attempt has setup's files in ignored folders, and none of the agent's changes.

    Before the first accepted task, a changed file may come from setup, so setup runs again if one was removed.
    """
    first = await worker.ensure(attempt())
    path = Path(first.worktree.path)
    (path / "cache").mkdir()
    (path / "cache" / "built").write_text("by setup\n")
    (path / "src" / "app.py").write_text("broken\n")
    second = await worker.ensure(attempt(number=2))
    assert (path / "cache" / "built").exists()
    assert (path / "src" / "app.py").read_text() == "print('hi')\n"
    assert second.worktree.incarnation != first.worktree.incarnation != ""
    # Nothing was removed, so setup does not run again.
    third = await worker.ensure(attempt(number=3))
    assert third.worktree.incarnation == second.worktree.incarnation
    # The accepted commit contains setup's changes.
    (path / "by-setup.txt").write_text("generated\n")
    await worker.commit(attempt(number=3))
    await worker.ensure(attempt(task="two"))
    (path / "src" / "app.py").write_text("broken\n")
    fourth = await worker.ensure(attempt(task="two", number=2))
    assert fourth.worktree.incarnation == third.worktree.incarnation
    # Rewound to where setup ran, its files are gone.
    fifth = await worker.ensure(attempt(number=4), rewind_to="main")
    assert fifth.worktree.incarnation != fourth.worktree.incarnation
    assert not (path / "by-setup.txt").exists()


async def test_a_recreated_worktree_is_a_new_incarnation(worker: Worker) -> None:
    """If the folder is gone, the next worktree is a new incarnation with the same slot and ports."""
    file = pb.ProjectFile(ports=2)
    first = (await worker.ensure(attempt(), file=file)).worktree
    Path(first.path).rename(f"{first.path}-moved")
    second = (await worker.ensure(attempt(number=2), file=file)).worktree
    assert second.incarnation != first.incarnation
    assert second.lease == first.lease


async def test_epics_of_all_runs_have_ports_of_their_own(worker: Worker) -> None:
    """Two parallel runs with two epics each have four slots and eight ports, which can all be bound at once."""
    file = pb.ProjectFile(ports=2, env={"URL": "http://localhost:${HEDDLE_PORT}/"})
    names = [attempt(epic, run=run) for run in ("r1", "r2") for epic in ("api", "ui")]
    answers = await asyncio.gather(*(worker.ensure(name, file=file) for name in names))
    leases = [answer.worktree.lease for answer in answers]
    assert sorted(lease.slot for lease in leases) == [1, 2, 3, 4]
    ports = [port for lease in leases for port in lease.ports]
    assert len(set(ports)) == 8
    bind_all(ports)
    for lease in leases:
        first, second = lease.ports
        assert second == first + 1
        assert lease.environment["HEDDLE_PORTS"] == f"{first},{second}"
        assert lease.environment["URL"] == f"http://localhost:{first}/"
    await worker.remove("runs/r1/epics/api")
    again = (await worker.ensure(attempt("db"), file=file)).worktree.lease
    assert again.slot == leases[0].slot


async def test_ports_in_use_are_not_leased(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ports in use are skipped; if none are left, the call fails with a clear error and creates nothing."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    async with worktrees.worker(tmp_path / "probe", project) as probe:
        lease = (await probe.ensure(attempt("probe"), file=pb.ProjectFile(ports=3))).worktree.lease
        await probe.remove("runs/r1/epics/probe")
    low, middle, high = lease.ports
    with socket.create_server(("127.0.0.1", middle)):
        async with worktrees.worker(tmp_path / "home", project, port_range=(low, high)) as worker:
            error = await refused(worker.ensure(attempt(), file=pb.ProjectFile(ports=2)))
            assert error.reason == pb.ERROR_REASON_NO_PORTS
            assert not (worker.home / "worktrees" / "r1" / "api.json").exists()
            taken = [
                (await worker.ensure(attempt(epic), file=pb.ProjectFile(ports=1))).worktree.lease.ports[0]
                for epic in ("api", "ui")
            ]
    assert sorted(taken) == [low, high]


async def test_killed_between_the_steps_no_lease_is_lost(tmp_path: Path, project: Path) -> None:
    """Killed and restarted while epics start and end, the service never leases a port twice and never leaks one."""
    fleet = Fleet(tmp_path / "home", {"GIT_CONFIG_GLOBAL": "/dev/null"})
    file = pb.ProjectFile(ports=3)
    seen: dict[str, tuple[int, ...]] = {}

    async def come_and_go(worker: Worker, key: str) -> None:
        for number in range(1, 4):
            lease = (
                await persist(worker.ensure, attempt(key, number=number), "main", None, file)
            ).worktree.lease
            assert seen.setdefault(key, tuple(lease.ports)) == tuple(lease.ports)
            assert not {port for other, ports in seen.items() if other != key for port in ports} & {
                *lease.ports
            }
        del seen[key]
        await persist(worker.remove, f"runs/r1/epics/{key}")

    try:
        await fleet.start(SERVICE)
        async with worktrees.connected(fleet, project) as worker:
            working = asyncio.gather(*(come_and_go(worker, key) for key in ("a", "b", "c")))
            while not working.done():
                await asyncio.wait([working], timeout=0.3)  # the moment of the kill is what varies here
                fleet.kill(SERVICE)
                await fleet.start(SERVICE)
            await working
            assert list((fleet.home / "worktrees").iterdir()) == []
            lease = (await persist(worker.ensure, attempt("d"), "main", None, file)).worktree.lease
            assert lease.slot == 1
            state = json.loads((fleet.home / "worktrees" / "r1" / "d.json").read_text())
            assert state["lease"]["ports"] == list(lease.ports)
    finally:
        fleet.stop()
