"""Changes outside a session's worktree are reported after the session if no sandbox prevents them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from heddle import pb
from tests.support import worktrees
from tests.support.agents import Agents, agents, ending, output, payloads
from tests.support.repositories import git, make_repository
from tests.support.worktrees import attempt


@dataclass
class Ground:
    """A worker without a sandbox, and a repository with the worktrees of two epics, `e` and `idle`."""

    agents: Agents
    worktrees: worktrees.Worker
    project: Path
    idle: Path

    async def run(self, shell: str) -> list[pb.Event]:
        return await self.agents.run(f"command:{shell}")


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    files = {"README.md": "# Sample\n", "src/app.py": "1\n", ".gitignore": "build/\n"}
    project = make_repository(folder / "project", files)
    async with (
        worktrees.worker(folder / "home", project) as trees,
        agents(folder, await trees.ready(attempt("e", "t", run="r")), HEDDLE_SANDBOX="off") as worker,
    ):
        idle = await trees.ready(attempt("idle", "one", run="r"))
        yield Ground(worker, trees, project, idle)


def told(events: list[pb.Event]) -> pb.SurroundingsChanged | None:
    found = payloads(events, "surroundings_changed")
    assert len(found) <= 1
    return found[0].surroundings_changed if found else None


async def test_what_is_written_outside_is_told(tmp_path: Path) -> None:
    """Changes to the checkout, idle worktrees, git hooks and configuration are reported, with one warning."""
    async with ground(tmp_path) as it:
        wrote = [it.project / "README.md", it.project / "new.txt", it.idle / "README.md"]
        wrote += [it.project / ".git/config", it.project / ".git/hooks/pre-commit"]
        shell = "; ".join(f"echo '# x' >> {path}" for path in wrote)
        events = await it.run(
            f"echo mine > own.txt; mkdir {it.project}/build; touch {it.project}/build/out; {shell}"
        )
        assert ending(events)[0] == "SUCCEEDED"
        found = told(events)
        assert found is not None
        # The hooks folder is listed too, because a file was created in it.
        expected = sorted(map(str, [*wrote, it.project / ".git/hooks"]))
        assert list(found.paths) == expected
        assert found.count == len(expected)
        assert not found.also_running
        assert "No write boundary" in output(events, pb.OUTPUT_STREAM_SYSTEM)


async def test_deleted_files_are_told(tmp_path: Path) -> None:
    """A deleted tracked file is reported as a change."""
    async with ground(tmp_path) as it:
        found = told(await it.run(f"rm {it.project}/src/app.py"))
        assert found is not None
        assert list(found.paths) == [str(it.project / "src/app.py")]


async def test_work_inside_the_worktree_is_not_reported(tmp_path: Path) -> None:
    """An agent that works and commits only in its worktree causes no report."""
    async with ground(tmp_path) as it:
        commit = "git -c user.name=a -c user.email=a@b commit --quiet --all --message=x"
        assert told(await it.run(f"echo x > README.md; {commit}; git log")) is None


async def test_sessions_at_the_same_time_are_not_mixed_up(tmp_path: Path) -> None:
    """Worktrees of concurrent sessions are left out; other sessions that may have made a change are named."""
    async with ground(tmp_path) as it:
        own = it.agents.worktree
        slow = await it.agents.start("command:while [ ! -e go ]; do sleep 0.02; done", task="slow")
        it.agents.worktree = it.idle
        other = await it.agents.run("command:echo x > README.md", task="other")
        assert told(other) is None
        (it.project / "README.md").write_text("changed by the user\n")
        (own / "go").touch()
        found = told(await it.agents.events(slow))
        assert found == pb.SurroundingsChanged(
            paths=[str(it.project / "README.md")],
            count=1,
            also_running=[str(attempt("idle", "other", run="r"))],
        )


async def test_what_the_service_makes_ready_is_not_told(tmp_path: Path) -> None:
    """Worktrees that worktree_svc resets or creates during a session are not reported, nor are git's locks."""
    async with ground(tmp_path) as it:
        (it.idle / "README.md").write_text("left behind\n")
        session = await it.agents.start("command:while [ ! -e go ]; do sleep 0.02; done")
        await it.worktrees.discard(attempt("idle", "one", run="r"))
        await it.worktrees.ready(attempt("new", "one", run="r"))
        # Any git command of the user may create and delete this file.
        (it.project / ".git/index.lock").touch()
        (it.project / ".git/index.lock").unlink()
        assert git(it.idle, "status", "--porcelain") == ""
        (it.agents.worktree / "go").touch()
        assert told(await it.agents.events(session)) is None


async def test_a_hostile_configuration_starts_nothing(tmp_path: Path) -> None:
    """The search for changes runs no program that an agent put into the repository's configuration."""
    async with ground(tmp_path) as it:
        trace = tmp_path / "trace"
        spy = f"touch {trace}"
        shell = f"git config core.fsmonitor '{spy}'; git config filter.x.clean '{spy}'; echo '* filter=x' > {it.project}/.gitattributes"
        found = told(await it.run(shell))
        assert found is not None
        assert str(it.project / ".gitattributes") in found.paths
        assert not trace.exists()
