"""A run whose project is a URL, with all services."""

from pathlib import Path

import pytest

from heddle import pb
from heddle.errors import HeddleError
from tests.support.fleet import running_fleet
from tests.support.repositories import fast_import, git

# The remote rejects Heddle's epic branches and accepts the merged work.
HOOK = "#!/bin/sh\ncase $1 in refs/heads/heddle/*/epics/*) echo 'no such branches here' >&2; exit 1;; esac\n"


async def test_a_run_on_a_url_is_pushed_and_says_what_was_not(tmp_path: Path) -> None:
    """The plan runs on a clone and its merged work is pushed; a branch that the remote rejects is an event."""
    remote = tmp_path / "app.git"
    remote.mkdir()
    git(remote, "init", "--quiet", "--bare", "--initial-branch=trunk")
    fast_import(remote, "trunk", {"README.md": "# Sample\n"})
    hook = remote / "hooks" / "update"
    hook.write_text(HOOK)
    hook.chmod(0o755)
    task = pb.PlanTask(key="write", prompt="Write", agent="command:git config --get-regexp url > found; true")
    plan = pb.Plan(name="Url", merge_into="trunk", epics=[pb.PlanEpic(key="one", tasks=[task])])
    url = f"file://{remote}"
    async with running_fleet(tmp_path / "home") as fleet, fleet.client() as client:
        password = pb.CreateRunRequest(plan=plan, project="https://me:s3cret@127.0.0.1/app")
        with pytest.raises(HeddleError) as refused:
            await client.create_run(password)
        assert refused.value.reason == pb.ERROR_REASON_INVALID_FIELD
        run = await client.create_run(pb.CreateRunRequest(plan=plan, project=url))
        assert run.project == url
        events = [event async for answer in client.watch_run(run.name) for event in answer.events]
        ended = await client.get_run(run.name)
    assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
    failed = [event.push_failed for event in events if event.HasField("push_failed")]
    assert failed
    assert all(each.branch.startswith("heddle/") and "no such branches" in each.error for each in failed)
    names = git(remote, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()
    assert sorted(names) == [ended.branch, "trunk"]
    assert "found" in git(remote, "ls-tree", "--name-only", "trunk").split()
    assert "s3cret" not in "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*.log"))
