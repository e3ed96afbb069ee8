"""The regions in which two commits conflict, for display."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from worktree_svc.git.process.command import Git, decode, failure, readable
from worktree_svc.git.trees import is_binary

# The most regions and characters of a conflict to return.
MOST_HUNKS: Final = 20
MOST_CHARACTERS: Final = 16 << 10
_HUNK_CHARACTERS: Final = 4 << 10

# A larger file is listed without its regions.
_MOST_BYTES: Final = 4 << 20

BEGIN: Final = "<<<<<<< "
END: Final = ">>>>>>> "


class Hunk(NamedTuple):
    """A region in which both sides differ.

    If the file has no regions, `line` is 0 and the text gives the reason.
    """

    file: str
    line: int
    text: str


def hunks(git: Git, onto: str, source: str) -> list[Hunk]:
    """Returns the first conflict regions of the merge of `source` into `onto`."""
    arguments = ("merge-tree", "--write-tree", "--name-only", "--messages", "-z", onto, source)
    with git.with_temporary_objects() as scratch:
        output = scratch.run(*arguments)
        if output.code not in {0, 1}:
            raise failure(arguments, output)
        fields = iter(decode(output.stdout).split("\0")[:-1])
        tree = next(fields)
        names = sorted(set(iter(lambda: next(fields, ""), "")))
        return _few(_hunks(scratch, tree, names, _notes(fields)))


def _few(every: Iterable[Hunk]) -> list[Hunk]:
    found: list[Hunk] = []
    left = MOST_CHARACTERS
    for hunk in every:
        if len(found) == MOST_HUNKS or left <= 0:
            break
        text = hunk.text[: min(left, _HUNK_CHARACTERS)]
        left -= len(text)
        found.append(hunk._replace(text=text))
    return found


def _hunks(git: Git, tree: str, names: Iterable[str], notes: dict[str, str]) -> Iterator[Hunk]:
    for name in names:
        regions = list(_regions(_lines(git, tree, name)))
        shown = readable(name)
        if regions:
            yield from (Hunk(shown, line, text) for line, text in regions)
        else:
            yield Hunk(shown, 0, readable(notes.get(name, "")) or "one side removed it, or it is binary")


def _notes(fields: Iterator[str]) -> dict[str, str]:
    """Returns git's messages by file.

    Each message consists of the number of paths, the paths, a type and the text.
    """
    notes: dict[str, list[str]] = {}
    for count in fields:
        paths = [next(fields) for _ in range(int(count))]
        kind, text = next(fields), next(fields).strip()
        if kind != "Auto-merging":
            for path in paths:
                notes.setdefault(path, []).append(text)
    return {path: "\n".join(texts) for path, texts in notes.items()}


def _lines(git: Git, tree: str, file: str) -> list[str]:
    name = f"{tree}:{file}"
    # A path that does not exist, or a submodule, has no lines.
    kind = git.run("cat-file", "-t", name)
    if kind.code or kind.stdout.strip() != b"blob" or int(git.text("cat-file", "-s", name)) > _MOST_BYTES:
        return []
    data = git.raw("cat-file", "blob", name)
    return [] if is_binary(data) else data.decode(errors="replace").splitlines(keepends=True)


def _regions(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yields the first line number and the text of each region between conflict markers."""
    begun = 0
    region: list[str] = []
    for number, line in enumerate(lines, 1):
        if not begun and line.startswith(BEGIN):
            begun, region = number, []
        if begun:
            region.append(line)
            if line.startswith(END):
                yield begun, "".join(region)
                begun = 0
