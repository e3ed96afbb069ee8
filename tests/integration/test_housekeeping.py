"""Worktrees after their run, with real git and the command: kept, archived, removed, restored."""

import json
from pathlib import Path

from heddle import pb
from tests.integration.test_conflict import finished
from tests.support import commands
from tests.support.fleet import running_fleet
from tests.support.repositories import git, make_repository
from tests.support.scheduler import eventually

# Two seconds, expressed in days.
SOON = "0.00002"


async def test_work_in_a_worktree_outlives_it(tmp_path: Path) -> None:
    """Work in a failed epic's worktree is archived when that is removed, and one command restores it."""
    repository = make_repository(tmp_path / "repository", {"app.conf": "color = grey\n"})
    plan = pb.Plan(
        name="Paint",
        defaults=pb.TaskDefaults(agent="command:exit 3"),
        epics=[pb.PlanEpic(key="one", tasks=[pb.PlanTask(key="paint", prompt="Paint")])],
    )
    settings = {"HEDDLE_KEEP_WORKTREES": SOON}
    async with running_fleet(tmp_path / "home", settings) as fleet, fleet.client() as client:
        request = pb.CreateRunRequest(plan=plan, project=str(repository))
        name = (await client.create_run(request)).name
        await finished(client, name)
        run = name.removeprefix("runs/")
        [epic] = await client.list_epics(name)
        worktree = Path(epic.worktree_path)
        (worktree / "app.conf").write_text("color = red\n")
        (worktree / "notes.txt").write_text("look here\n")

        async def heddle(*arguments: str) -> tuple[int, str, str]:
            return await commands.run(*arguments, env=fleet.environment)

        code, out, _ = await heddle("worktrees", run, "--json")
        told = json.loads(out)
        assert (code, told["dirty"], told["path"]) == (0, True, str(worktree))
        assert int(told["diskBytes"]) > 0

        async def is_due() -> bool:
            return len((await client.collect_garbage(dry_run=True)).worktrees) == 1

        await eventually(is_due)
        code, out, _ = await heddle("gc", "--dry-run")
        assert f"worktree {run}/one would be removed" in out
        assert "archived first" in out
        assert worktree.is_dir()
        code, out, err = await heddle("gc")
        assert (code, err) == (0, "")
        archived = git(repository, "rev-parse", f"refs/heddle/archive/{run}/one")
        assert f"worktree {run}/one removed" in out
        assert f"archived as {archived[:10]}" in out
        assert not worktree.exists()
        code, out, _ = await heddle("worktrees")
        assert f"{run}/one" in out
        assert "archived" in out

        code, out, _ = await heddle("restore", f"{run}/one")
        assert (code, out) == (0, f"{worktree}\n")
        assert git(worktree, "status", "--porcelain").splitlines() == [" M app.conf", "?? notes.txt"]
        assert (worktree / "app.conf").read_text() == "color = red\n"
        code, _, err = await heddle("restore", f"{run}/one")
        assert (code, str(worktree) in err) == (1, True)
        code, _, err = await heddle("restore", f"{run}/two")
        assert (code, "does not exist" in err) == (2, True)
