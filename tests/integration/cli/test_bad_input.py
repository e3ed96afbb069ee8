"""What the command reports about invalid input before it creates anything."""

import pytest

from tests.integration.cli.server import QUICK, Server
from tests.support.repositories import git

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRONG = """
name: Wrong
epics:
  - key: api
    depnds_on: [db]
    tasks: []
  - key: api
    tasks: [{key: one, prompt: x, timeout: soon}]
"""


async def test_mistakes_in_a_plan_come_all_at_once(server: Server) -> None:
    """Each error has its line and field; nothing is created."""
    before = await server.heddle("ls", "--json")
    plan = server.plan(WRONG)
    for arguments in (["run", plan, "--repo", str(server.repository())], ["plan", "check", plan]):
        code, out, err = await server.heddle(*arguments)
        assert (code, out) == (2, "")
        assert f"{plan}:5:5: epics[0].depnds_on: " in err
        assert f"{plan}:6:5: epics[0].tasks: " in err
        assert f"{plan}:7:5: epics[1].key: " in err or f"{plan}:7:" in err
        assert "epics[1].tasks[0].timeout" in err
        assert "nothing was created" in err
    assert len((await server.heddle("ls", "--json"))[1]) == len(before[1])


async def _refused(server: Server, *arguments: str) -> str:
    before = (await server.heddle("ls", "--limit", "500", "--json"))[1].count("\n")
    code, out, err = await server.heddle("run", server.plan(QUICK), *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("heddle: ")
    assert "Traceback" not in err
    assert (await server.heddle("ls", "--limit", "500", "--json"))[1].count("\n") == before
    return err


async def test_project_that_is_no_repository(server: Server) -> None:
    """For a folder without git, the error names it and says what to do."""
    folder = server.folder / "plain"
    folder.mkdir()
    err = await _refused(server, "--repo", str(folder))
    assert str(folder) in err
    assert "git init" in err or "git repository" in err


async def test_project_that_does_not_exist(server: Server) -> None:
    """A missing path is reported as missing."""
    err = await _refused(server, "--repo", str(server.folder / "absent"))
    assert "absent" in err


async def test_project_without_a_commit(server: Server) -> None:
    """An empty repository is rejected: it has no commit to start from."""
    folder = server.folder / "empty"
    folder.mkdir()
    git(folder, "init", "--quiet")
    assert "commit" in await _refused(server, "--repo", str(folder))


async def test_dirty_checkout_needs_permission(server: Server) -> None:
    """Uncommitted changes are named, since agents would not see them; --allow-dirty starts anyway."""
    repository = server.repository()
    (repository / "README.md").write_text("changed\n")
    err = await _refused(server, "--repo", str(repository))
    assert "README.md" in err
    assert "--allow-dirty" in err or "allow_dirty" in err
    code, _, err = await server.heddle(
        "run", server.plan(QUICK), "--repo", str(repository), "--allow-dirty", "--wait"
    )
    assert code == 0, err
    assert (repository / "README.md").read_text() == "changed\n"


async def test_base_that_does_not_exist(server: Server) -> None:
    """An unknown --base is named."""
    err = await _refused(server, "--repo", str(server.repository()), "--base", "v9")
    assert "v9" in err


async def test_agent_that_does_not_exist(server: Server) -> None:
    """An unknown --agent is rejected, with the list of known agents."""
    err = await _refused(server, "--repo", str(server.repository()), "--agent", "claudette")
    assert "claudette" in err
    assert "scripted" in err


async def test_merge_into_a_branch_that_is_checked_out(server: Server) -> None:
    """A run does not move the branch that is checked out in the user's checkout."""
    err = await _refused(server, "--repo", str(server.repository()), "--merge-into", "main")
    assert "main" in err
    assert "checked out" in err


async def test_branch_that_is_in_the_way(server: Server) -> None:
    """A branch named heddle prevents branches heddle/RUN/…: the error names it, and it stays untouched."""
    repository = server.repository()
    git(repository, "branch", "heddle")
    err = await _refused(server, "--repo", str(repository))
    assert "branch called heddle" in err
    assert git(repository, "rev-parse", "heddle") == git(repository, "rev-parse", "main")


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "nosuch"],
        ["watch", "nosuch"],
        ["events", "nosuch"],
        ["pause", "nosuch"],
        ["cancel", "nosuch"],
        ["logs", "nosuch/a/b"],
        ["stop", "nosuch/a/b/1"],
        ["retry", "nosuch/a/b"],
    ],
)
async def test_what_does_not_exist(server: Server, arguments: list[str]) -> None:
    """An unknown name exits 2, and the error repeats it."""
    code, out, err = await server.heddle(*arguments)
    assert (code, out) == (2, "")
    assert "nosuch" in err
    assert "does not exist" in err


async def test_wrong_state_exits_1(server: Server) -> None:
    """An action that is impossible in the current state is rejected, with that state."""
    name = await server.begin(QUICK)
    await server.heddle("watch", name)
    code, _, err = await server.heddle("pause", name)
    assert code == 1
    assert "succeeded" in err
