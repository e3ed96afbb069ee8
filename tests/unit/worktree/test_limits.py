"""Limits of the worktree service: what is exactly at it is kept, and one more is not."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from heddle.errors import HeddleError
from worktree_svc import replies
from worktree_svc.content import acceptance, additions
from worktree_svc.content.acceptance import NewFile, unwanted
from worktree_svc.content.ignored_files import IgnoredFiles
from worktree_svc.git import refs
from worktree_svc.git.commit_messages import with_own_words
from worktree_svc.git.process.command import Git
from worktree_svc.git.push_refusals import read
from worktree_svc.merges.conflict_forecast import Branch, Changes
from worktree_svc.merges.conflict_hunks import Hunk, _few
from worktree_svc.served import pushes
from worktree_svc.worktrees.diffs import PIECE_BYTES, Piece, _lines, pieces


def new(size: int, path: str = "data.bin") -> NewFile:
    return NewFile(path=path, size=size, object_id="0" * 40)


@pytest.mark.parametrize(("size", "told"), [(50 << 20, []), ((50 << 20) + 1, ["50 MiB, more than 50"])])
def test_size_of_a_new_file(size: int, told: list[str]) -> None:
    """A file of 50 MiB is accepted; one byte more is not."""
    assert [why for _, why in unwanted([new(size)], lambda _: b"")] == told


@pytest.mark.parametrize(("length", "kept"), [(1000, 1000), (1001, 1000)])
def test_length_of_a_refusal(length: int, kept: int) -> None:
    """Of what git says about a push, 1000 characters are told."""
    assert read("", "ä" * length, ["refs/heads/a"]) == {"refs/heads/a": "ä" * kept}


def hunk(length: int, line: int = 1) -> Hunk:
    return Hunk("a.txt", line, "x" * length)


@pytest.mark.parametrize(("count", "kept"), [(20, 20), (21, 20)])
def test_number_of_hunks(count: int, kept: int) -> None:
    """Of the regions of a conflict, the first twenty are shown."""
    every = [hunk(1, number) for number in range(count)]
    assert _few(every) == every[:kept]


@pytest.mark.parametrize(("length", "kept"), [(4 << 10, 4 << 10), ((4 << 10) + 1, 4 << 10)])
def test_length_of_a_hunk(length: int, kept: int) -> None:
    """A region has at most 4 Ki characters."""
    assert _few([hunk(length)]) == [hunk(kept)]


def test_length_of_all_hunks() -> None:
    """All regions together have at most 16 Ki characters; the one that reaches the limit is cut."""
    assert [len(each.text) for each in _few([hunk(4 << 10)] * 4)] == [4 << 10] * 4
    assert [len(each.text) for each in _few([hunk(4 << 10)] * 5)] == [4 << 10] * 4
    assert [len(each.text) for each in _few([*[hunk(4 << 10)] * 3, hunk((4 << 10) - 1), hunk(9)])] == [
        4096,
        4096,
        4096,
        4095,
        1,
    ]


def test_no_region_beyond_the_last_is_read() -> None:
    """A file after the last region that is shown is not read."""

    def every() -> Iterator[Hunk]:
        yield from [hunk(1)] * 20
        yield hunk(1)
        raise AssertionError("read too much")

    assert len(_few(every())) == 20


@pytest.mark.parametrize(("last", "kept"), [(0, True), (1, False)])
def test_messages_of_an_agents_commits(last: int, kept: bool) -> None:
    """Messages of 16 KiB together are kept; of more, the rest is counted."""
    first, second = "ä" * (4 << 10), "b" * ((8 << 10) + last)
    text = with_own_words("", [first, second])
    assert text == (f"{first}\n\n{second}" if kept else f"{first}\n\n(1 more message of the agent left out)")


LINE = "ä" * 49 + "x\n"


@pytest.mark.parametrize(
    ("room", "text", "truncated"),
    [(200, LINE * 2, False), (199, LINE, True), (100, LINE, True), (99, "", True)],
)
def test_size_of_a_diff(room: int, text: str, truncated: bool) -> None:
    """A diff of as many bytes as asked for is whole; of a longer one, the lines that fit are returned."""
    assert len(LINE.encode()) == 100
    assert list(pieces([(LINE * 2).encode()], room)) == [Piece(text, truncated=truncated)]


@pytest.mark.parametrize(("beyond", "sizes"), [(0, [250 << 10]), (1, [(250 << 10) - 100, 101])])
def test_size_of_a_piece_of_a_diff(beyond: int, sizes: list[int]) -> None:
    """Lines are joined to pieces of 250 KiB."""
    line = b"x" * 99 + b"\n"
    data = line * (PIECE_BYTES // 100 - 1) + b"y" * (99 + beyond) + b"\n"
    assert PIECE_BYTES == 250 << 10 == len(data) - beyond
    assert [len(piece.text) for piece in pieces([data], 1 << 30)] == sizes


@pytest.mark.parametrize(("beyond", "parts"), [(0, 1), (1, 2)])
def test_length_of_a_line_of_a_diff(beyond: int, parts: int) -> None:
    """A line of a third of a piece is whole, as each of its bytes may become three; a longer one is split."""
    longest = PIECE_BYTES // 3
    found = list(_lines([b"x" * (longest - 1 + beyond) + b"\n"]))
    assert [len(part) for part in found] == [longest, beyond][:parts]
    # No character is split.
    odd = "ä" * (longest // 2 + 10)
    assert b"".join(_lines([odd.encode()])).decode() == odd
    assert all(part.decode() for part in _lines([odd.encode()]))


@pytest.mark.parametrize(("count", "sent"), [(20, 20), (21, 20)])
def test_number_of_submodules_that_are_not_filled(count: int, sent: int) -> None:
    """The first twenty are named, in order, and all are counted."""
    told = replies.unfilled([(f"m{number}", "no access") for number in range(count)])
    assert [each.path for each in told.submodules] == [f"m{number}" for number in range(sent)]
    assert told.count == count


@pytest.mark.parametrize(("count", "sent"), [(1000, 1000), (1001, 1000)])
def test_number_of_paths_of_a_branch(count: int, sent: int) -> None:
    """The first thousand paths that a branch changes are sent, by name, and all are counted."""
    paths = [f"f{number:04}" for number in range(count)]
    told = replies.changed_paths(Branch("b", "c", Changes(frozenset(paths))))
    assert (list(told.paths), told.path_count) == (paths[:sent], count)


@pytest.mark.parametrize(("count", "rest"), [(5, ""), (6, "; and 1 more")])
def test_number_of_files_that_cannot_be_committed(count: int, rest: str) -> None:
    """The error names five files with their reasons, and says how many more there are."""
    error = additions.uncommittable([additions.Refused(f"f{number}", "no") for number in range(count)])
    named = "; ".join(f"f{number}: no" for number in range(5))
    assert f"files cannot be committed: {named}{rest}. " in error.message
    assert error.metadata["files"] == "f0, f1, f2, f3, f4"


@pytest.mark.parametrize(("count", "refused"), [(5_000, False), (5_001, True)])
def test_number_of_new_files(monkeypatch: pytest.MonkeyPatch, count: int, refused: bool) -> None:
    """A task may add 5,000 files; the refusal of more has their number and the first of them."""
    added = [new(1, f"f{number}") for number in range(count)]
    changed = [acceptance._Change(file.path, file.object_id, "A") for file in added]
    monkeypatch.setattr(acceptance, "_changes", lambda *_: changed)
    monkeypatch.setattr(acceptance, "_new_files", lambda *_: added)

    def check() -> None:
        acceptance.check(cast("Git", None), "tree", ["parent"], acceptance.ChangeRules(), lambda: ignored)

    ignored = cast("IgnoredFiles", None)
    if refused:
        with pytest.raises(HeddleError, match="it adds 5,001 files, more than 5,000, for example f0"):
            check()
    else:
        check()


@pytest.mark.parametrize(("count", "more"), [(10, ""), (11, " and 1 more")])
def test_number_of_files_that_a_refusal_names(count: int, more: str) -> None:
    """The first ten files are named, and the rest is counted."""
    paths = [f"f{number}" for number in range(count)]
    named = ", ".join(paths[:10])
    assert f"committed: {named}{more}. Remove them" in acceptance._advice(dict.fromkeys(paths, ""))
    assert acceptance._named(paths, count) == f"{named}{more}"
    assert acceptance._refused("no", paths).metadata["files"] == named


@pytest.mark.parametrize("aliases", [4, 5, 6])
def test_number_of_symbolic_refs_in_a_chain(tmp_path: Path, aliases: int) -> None:
    """Git follows five symbolic refs from HEAD to a branch; of a longer chain, the fifth one's target is returned."""
    (tmp_path / "refs/heads").mkdir(parents=True)
    (tmp_path / "HEAD").write_text("ref: refs/heads/b0\n")
    for number in range(aliases):
        (tmp_path / f"refs/heads/b{number}").write_text(f"ref: refs/heads/b{number + 1}\n")
    (tmp_path / f"refs/heads/b{aliases}").write_text("0" * 40 + "\n")
    assert refs.checked_out_branch(tmp_path, tmp_path) == f"refs/heads/b{min(aliases, 5)}"


def move(size: int) -> bytes:
    """Returns git's packet of this size that moves a ref."""
    line = f"{'1' * 40} {'2' * 40} refs/heads/"
    return f"{size:04x}{line}{'x' * (size - 4 - len(line))}".encode()


@pytest.mark.parametrize(("last", "valid"), [(8 << 10, True), ((8 << 10) + 1, False)])
def test_size_of_the_commands_of_a_push(last: int, valid: bool) -> None:
    """The commands have at most 16 KiB, whether they have arrived or not."""
    for whole in (move(8 << 10) + move(last) + b"0000", move(8 << 10) + move(last)[:-1]):
        if valid:
            found = pushes.commands(whole)
            assert (found is not None) == whole.endswith(b"0000")
        else:
            with pytest.raises(pushes.MalformedPushError, match="too many refs"):
                pushes.commands(whole)
