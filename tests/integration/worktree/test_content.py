"""How git converts files on commit and checkout: filters, encodings, line endings, sparse checkouts."""

import os
from pathlib import Path

import pytest

from heddle import pb
from heddle.cli.admin.repository_checks import filters
from heddle.config import Settings
from tests.support import worktrees
from tests.support.repositories import git
from tests.support.worktrees import Worker, attempt, refused

KEPT = "refs/heddle/attempts/r1/api/one/1"
ROT13 = "tr a-zA-Z n-za-mN-ZA-M"


def commit_all(folder: Path, message: str = "work") -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def encrypt(project: Path) -> None:
    """Configures a filter in a project, as git-crypt does, and a file that it encrypts."""
    for key in ("clean", "smudge"):
        git(project, "config", f"filter.crypt.{key}", ROT13)
    git(project, "config", "filter.crypt.required", "true")
    (project / ".gitattributes").write_text("*.secret filter=crypt\n")
    (project / "old.secret").write_text("secret\n")
    commit_all(project)


async def test_a_projects_own_filter_runs_as_it_was_at_first(worker: Worker, project: Path) -> None:
    """Files are decrypted in worktrees and encrypted in commits and kept work; touching a file does not change it."""
    encrypt(project)
    assert not (await worker.inspect()).dirty_files
    os.utime(project / "old.secret")
    assert not (await worker.inspect()).dirty_files
    path = await worker.ready(attempt())
    assert (path / "old.secret").read_text() == "secret\n"
    os.utime(path / "old.secret")
    (path / "new.secret").write_text("topsecret\n")
    # If an agent changes the filter meanwhile, it has no effect.
    git(path, "config", "filter.crypt.clean", "cat")
    git(path, "config", "filter.crypt.required", "false")
    await worker.ready(attempt(number=2))
    assert worker.git("show", f"{KEPT}:new.secret") == "gbcfrperg"
    (path / "new.secret").write_text("topsecret\n")
    done = await worker.commit(attempt(number=2))
    assert done.diff_stat.files == 1
    assert worker.git("show", f"{done.commit}:new.secret") == "gbcfrperg"
    assert worker.git("show", f"{done.commit}:old.secret") == "frperg"


async def test_a_filter_that_came_later_is_refused_until_it_is_named(tmp_path: Path, project: Path) -> None:
    """An agent may have written a new filter, so no run starts until the operator names it or the user removes it.

    `heddle doctor` says the same.
    """
    home = tmp_path / "home"
    async with worktrees.worker(home, project) as worker:
        await worker.inspect()
        encrypt(project)
        error = await refused(worker.inspect())
        assert error.reason == pb.ERROR_REASON_FILTER_NOT_ALLOWED
        assert error.metadata["filters"] == "crypt"
        assert "HEDDLE_FILTERS=crypt" in error.message
        (told,) = filters(project, Settings.read({"HEDDLE_HOME": str(home)}))
        assert told.ok is False
        assert "the filter crypt (.gitattributes)" in told.detail
        assert (await worker.inspect(base="HEAD^")).base_commit
        git(project, "config", "--remove-section", "filter.crypt")
        assert (await worker.inspect()).base_commit
        git(project, "config", "filter.crypt.clean", ROT13)


@pytest.mark.parametrize("named", ["crypt", "none"])
async def test_the_operator_decides_about_filters(tmp_path: Path, project: Path, named: str) -> None:
    """A named filter runs as it is defined now; with `none`, not even one that was defined at first use runs."""
    encrypt(project)
    async with worktrees.worker(tmp_path / "home", project, filters=named) as worker:
        if named == "none":
            assert (await refused(worker.inspect())).reason == pb.ERROR_REASON_FILTER_NOT_ALLOWED
            return
        await worker.inspect()
        git(project, "config", "filter.crypt.clean", "sed s/^/named:/")
        await worker.inspect()
        path = await worker.ready(attempt())
        (path / "new.secret").write_text("word\n")
        done = await worker.commit(attempt())
        assert worker.git("show", f"{done.commit}:new.secret") == "named:word"


async def test_a_filter_that_is_a_file_of_the_project_is_refused(worker: Worker, project: Path) -> None:
    """A filter whose command is a file of the project is refused: an agent could change that program."""
    encrypt(project)
    (project / "tool.sh").write_text("cat\n")
    commit_all(project)
    git(project, "config", "filter.crypt.clean", "sh ./tool.sh %f")
    error = await refused(worker.inspect())
    assert error.reason == pb.ERROR_REASON_FILTER_NOT_ALLOWED
    assert "file of the project" in error.message


async def test_the_systems_filters_run(
    tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters of the system's configuration, such as git-lfs in Debian, run as in the user's own git."""
    system = tmp_path / "gitconfig"
    for key in ("clean", "smudge"):
        git(project, "config", "--file", str(system), f"filter.crypt.{key}", ROT13)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(system))
    (project / ".gitattributes").write_text("*.secret filter=crypt\n")
    commit_all(project)
    async with worktrees.worker(tmp_path / "home", project) as worker:
        await worker.inspect()
        path = await worker.ready(attempt())
        (path / "new.secret").write_text("topsecret\n")
        done = await worker.commit(attempt())
        assert worker.git("show", f"{done.commit}:new.secret") == "gbcfrperg"


async def test_attributes_are_heeded(worker: Worker, project: Path) -> None:
    """Line endings, idents and encodings in commits and worktrees follow the project's attributes."""
    (project / ".gitattributes").write_text(
        "*.txt text eol=crlf\n*.id ident\n*.rc text working-tree-encoding=UTF-16LE-BOM\n"
    )
    commit_all(project)
    path = await worker.ready(attempt())
    (path / "a.txt").write_bytes(b"one\r\ntwo\r\n")
    (path / "b.id").write_text("$Id: stale$\n")
    (path / "c.rc").write_bytes(b"\xff\xfe" + "wörd\n".encode("utf-16-le"))
    done = await worker.commit(attempt())
    assert worker.git("cat-file", "blob", f"{done.commit}:a.txt") == "one\ntwo"
    assert worker.git("cat-file", "blob", f"{done.commit}:b.id") == "$Id$"
    assert worker.git("cat-file", "blob", f"{done.commit}:c.rc") == "wörd"
    other = await worker.ready(attempt("ui"), done.commit)
    assert (other / "a.txt").read_bytes() == b"one\r\ntwo\r\n"
    assert (other / "b.id").read_text().startswith("$Id: ")
    assert (other / "c.rc").read_bytes() == (path / "c.rc").read_bytes()
    assert git(other, "status", "--porcelain") == ""


BAD = {
    "crlf": ("run.bat", b"rem\r\n", "CRLF would be replaced by LF"),
    "encoding": ("x.rc", b"plain\n", "BOM is required"),
    "filter": ("x.secret", b"word\n", "external filter 'false' failed"),
}


@pytest.mark.parametrize("how", BAD)
async def test_a_file_that_git_refuses_blocks_nothing_but_its_own_commit(
    worker: Worker, project: Path, how: str
) -> None:
    """The error names the file and the reason; its bytes are kept, and the next attempt, task and removal work."""
    name, content, why = BAD[how]
    if how == "crlf":
        git(project, "config", "core.autocrlf", "input")
        git(project, "config", "core.safecrlf", "true")
    git(project, "config", "filter.broken.clean", "false")
    git(project, "config", "filter.broken.required", "true")
    path = await worker.ready(attempt())

    def leave() -> None:
        (path / ".gitattributes").write_text(
            "*.rc text working-tree-encoding=UTF-16\n*.secret filter=broken\n"
        )
        (path / name).write_bytes(content)
        (path / "README.md").write_text("fine\n")

    leave()
    error = await refused(worker.commit(attempt()))
    assert error.reason == pb.ERROR_REASON_UNCOMMITTABLE_FILES
    assert error.metadata["files"] == name
    assert f"{name}: " in error.message
    assert why in error.message
    assert (await worker.discard(attempt())).kept_ref == KEPT
    assert worker.git("cat-file", "-s", f"{KEPT}:{name}") == str(len(content))
    assert worker.git("show", f"{KEPT}:README.md") == "fine"
    assert not (path / name).exists()
    await worker.ready(attempt(number=2))
    (path / "README.md").write_text("accepted\n")
    await worker.commit(attempt(number=2))
    leave()
    assert (await worker.remove("runs/r1/epics/api")).archive_commit
    assert worker.git("cat-file", "-s", f"refs/heddle/archive/r1/api:{name}") == str(len(content))
    if how == "crlf":
        await worker.restore("runs/r1/epics/api")
        assert (path / name).read_bytes() == content


async def test_a_filter_that_does_not_end_blocks_nothing(
    worker: Worker, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If git takes too long, the commit fails, files are kept unfiltered, and the next attempt can start."""
    git(project, "config", "filter.slow.clean", "sleep 600")
    path = await worker.ready(attempt())
    (path / ".gitattributes").write_text("*.slow filter=slow\n")
    (path / "x.slow").write_text("word\n")
    monkeypatch.setattr("worktree_svc.git.process.command.LONGEST_SECONDS", 5.0)
    error = await refused(worker.commit(attempt()))
    assert error.reason == pb.ERROR_REASON_GIT_FAILED
    assert "took longer" in error.message
    await worker.ready(attempt(number=2))
    assert worker.git("show", f"{KEPT}:x.slow") == "word"
    assert not (path / "x.slow").exists()


async def test_files_of_another_user_do_not_block_an_epic(worker: Worker) -> None:
    """A worktree with files of another user that git cannot keep is moved to aside/ and created again."""
    path = await worker.ready(attempt())
    closed = path.with_name("api.closed")
    for number, made in ((2, "r1-api-1"), (3, "r1-api-2")):
        (path / "foreign").write_text("theirs\n")
        # The service writes this file when it keeps the rest.
        closed.write_text("foreign")
        again = await worker.ensure(attempt(number=number))
        assert again.created
        assert (worker.home / "aside" / made / "foreign").read_text() == "theirs\n"
        assert not (path / "foreign").exists()
    (path / "README.md").write_text("fine\n")
    await worker.commit(attempt(number=3))
    closed.write_text("foreign")
    assert (await worker.remove("runs/r1/epics/api")).removed
    assert not path.exists()
    assert (worker.home / "aside" / "r1-api-3" / "README.md").read_text() == "fine\n"


@pytest.mark.parametrize("how", ["reset", "asked", "bit"])
async def test_files_outside_of_a_sparse_checkout_are_not_deleted(
    worker: Worker, project: Path, how: str
) -> None:
    """Files that a sparse checkout removes from the worktree are not deleted in the commit."""
    for name in ("app/a", "docs/d", "lib/l"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("1\n")
    commit_all(project)
    if how == "reset":
        git(project, "sparse-checkout", "set", "--cone", "app")
    path = await worker.ready(attempt())
    if how == "reset":
        git(path, "reset", "--quiet", "--hard")
        git(path, "checkout", "--quiet", "-b", "own")
    elif how == "asked":
        git(path, "sparse-checkout", "set", "--cone", "--sparse-index", "app")
        git(path, "rm", "--quiet", "--sparse", "lib/l")
        blob = git(path, "rev-parse", "HEAD:.gitignore")
        git(path, "update-index", "--cacheinfo", f"100644,{blob},docs/d")
        git(path, "update-index", "--skip-worktree", "docs/d")
    else:
        git(path, "update-index", "--skip-worktree", "docs/d", "lib/l")
        git(path, "update-index", "--assume-unchanged", "app/a")
        (path / "docs" / "d").unlink()
        (path / "lib" / "l").write_text("2\n")
    (path / "app" / "a").write_text("2\n")
    done = await worker.commit(attempt())
    changed = set(worker.git("diff", "--name-status", f"{done.commit}^", done.commit).splitlines())
    expected = {
        "reset": {"M\tapp/a"},
        "asked": {"M\tapp/a", "M\tdocs/d", "D\tlib/l"},
        "bit": {"M\tapp/a", "M\tlib/l"},
    }
    assert changed == expected[how]
    await worker.ready(attempt(task="two"))
    assert (path / "docs" / "d").exists()
    git(path, "reset", "--quiet", "--hard")
    assert (path / "docs" / "d").exists()


async def test_a_sparse_checkout_of_the_user_is_not_dirty(worker: Worker, project: Path) -> None:
    """Files that the user's sparse checkout excludes do not count as dirty."""
    (project / "docs").mkdir()
    (project / "docs" / "d").write_text("1\n")
    commit_all(project)
    git(project, "sparse-checkout", "set", "--cone", "--sparse-index", "src")
    assert not (project / "docs").exists()
    assert not (await worker.inspect()).dirty_files
