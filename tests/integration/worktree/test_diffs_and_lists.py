"""Diffs and lists."""

from pathlib import Path

import pytest

from heddle import pb
from tests.support.worktrees import Worker, attempt, refused


async def diff(
    worker: Worker, older: str, newer: str, *, max_bytes: int = 0, from_merge_base: bool = False
) -> list[pb.DiffRevisionsResponse]:
    request = pb.DiffRevisionsRequest(
        project=str(worker.project),
        from_revision=older,
        to_revision=newer,
        from_merge_base=from_merge_base,
        max_bytes=max_bytes,
    )
    return [response async for response in worker.stub.DiffRevisions(request)]


async def test_a_diff_is_the_text_of_git(worker: Worker) -> None:
    """The diff is git's default output, whatever the user's git configuration says."""
    worker.git("config", "diff.external", "false")
    worker.git("config", "diff.noprefix", "true")
    worker.git("config", "color.ui", "always")
    (worker.project / ".git" / "info" / "attributes").write_text("*.txt diff=evil\n")
    worker.git("config", "diff.evil.textconv", "false")
    path = await worker.ready(attempt())
    (path / "ä ✓.txt").write_text("one\n")
    done = await worker.commit(attempt())
    (response,) = await diff(worker, f"{done.commit}^", done.commit)
    assert response.text == (
        "diff --git a/ä ✓.txt b/ä ✓.txt\nnew file mode 100644\nindex 0000000..5626abf\n"
        "--- /dev/null\n+++ b/ä ✓.txt\t\n@@ -0,0 +1 @@\n+one\n"
    )
    assert not response.truncated


async def test_a_large_diff_comes_in_pieces_and_is_cut(worker: Worker) -> None:
    """Messages stay below 256 KiB, contain whole lines, and only the last says that the diff is longer."""
    path = await worker.ready(attempt())
    (path / "big.txt").write_text("".join(f"line {number} ✓\n" for number in range(100_000)))
    (path / "latin.txt").write_bytes(b"caf\xe9\n")
    done = await worker.commit(attempt())
    responses = await diff(worker, "main", done.commit, max_bytes=1_000_000)
    assert len(responses) > 3
    assert [response.truncated for response in responses] == [False] * (len(responses) - 1) + [True]
    assert all(response.ByteSize() <= 256 << 10 for response in responses)
    assert all(response.text.endswith("\n") for response in responses)
    whole = await diff(worker, "main", done.commit, max_bytes=10_000_000)
    text = "".join(response.text for response in whole)
    assert "+caf\ufffd\n" in text
    assert "+line 99999 ✓\n" in text
    assert not whole[-1].truncated
    assert text.startswith("".join(response.text for response in responses))


async def test_a_diff_from_the_merge_base_leaves_out_the_other_side(worker: Worker) -> None:
    """`from_merge_base` shows only the changes of the newer side."""
    path = await worker.ready(attempt())
    (path / "epic.txt").write_text("e\n")
    done = await worker.commit(attempt())
    (worker.project / "main.txt").write_text("m\n")
    worker.git("add", ".")
    worker.git("commit", "--quiet", "-m", "Meanwhile")
    both = "".join(each.text for each in await diff(worker, "main", done.commit))
    ours = "".join(each.text for each in await diff(worker, "main", done.commit, from_merge_base=True))
    assert "main.txt" in both
    assert "main.txt" not in ours
    assert "epic.txt" in ours


async def test_no_difference_is_one_empty_message(worker: Worker) -> None:
    """Without a difference, the caller gets exactly one empty message."""
    assert await diff(worker, "main", "main") == [pb.DiffRevisionsResponse()]


@pytest.mark.parametrize("revision", ["nowhere", "", "--output=/tmp/x", "-p"])
async def test_missing_revisions_are_errors(worker: Worker, revision: str) -> None:
    """An unknown revision, or text that looks like an option, is UNKNOWN_REVISION."""
    error = await refused(diff(worker, "main", revision))
    assert error.reason == pb.ERROR_REASON_UNKNOWN_REVISION
    error = await refused(diff(worker, "main", "main", max_bytes=-1))
    assert error.reason == pb.ERROR_REASON_INVALID_FIELD


async def test_worktrees_are_listed_in_pages(worker: Worker) -> None:
    """Following the tokens shows each worktree once, with its accepted head; removed ones are gone."""
    for number in range(5):
        await worker.ready(attempt(f"e{number}"))
    head = (await worker.commit(attempt("e0"))).commit
    await worker.remove("runs/r1/epics/e4")
    found: list[pb.Worktree] = []
    token = ""
    while True:
        page = await worker.stub.ListWorktrees(pb.ListWorktreesRequest(page_size=3, page_token=token))
        found += page.worktrees
        token = page.next_page_token
        if not token:
            break
    assert [each.epic for each in found] == [f"runs/r1/epics/e{number}" for number in range(4)]
    assert found[0].head_commit == head
    assert found[1].head_commit == worker.git("rev-parse", "main")
    assert all(Path(each.path).is_dir() and each.project == str(worker.project) for each in found)


async def test_malformed_pages(worker: Worker) -> None:
    """A negative size or a foreign token is INVALID_FIELD."""
    for request in (pb.ListWorktreesRequest(page_size=-1), pb.ListWorktreesRequest(page_token="x")):
        error = await refused(worker.stub.ListWorktrees(request))
        assert error.reason == pb.ERROR_REASON_INVALID_FIELD


async def test_removing_twice(worker: Worker) -> None:
    """The first RemoveWorktree archives uncommitted work, the second finds nothing, and the branch stays."""
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    first = await worker.remove("runs/r1/epics/api")
    assert (first.removed, first.path) == (True, str(path))
    assert not (await worker.remove("runs/r1/epics/api")).removed
    assert worker.git("show", "refs/heddle/archive/r1/api:a.txt") == "a"
    assert worker.git("rev-parse", "heddle/r1/epics/api") == worker.git("rev-parse", "main")
    assert (await worker.ensure(attempt(number=2))).created
