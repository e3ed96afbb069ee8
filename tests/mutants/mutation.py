"""The mutants of a module, each with an identity that does not depend on line numbers."""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Identity(NamedTuple):
    """What a mutant is called in the cache and in the list of equivalent mutants."""

    # The path of the file from the root of the repository.
    module: str
    # The qualified name; empty outside of functions.
    function: str
    # The changed lines without indentation, before and after.
    line: str
    becomes: str
    # Counts from 1 if a function has equal lines.
    occurrence: int

    @property
    def key(self) -> str:
        return "\x1f".join(map(str, self))


@dataclass(frozen=True)
class Mutant:
    """A change of one place of a module."""

    identity: Identity
    # The whole changed module.
    source: str
    # The lines of the innermost statement that is changed; of a compound statement only the changed lines.
    lines: range
    # The first line, with decorators, of the outermost function whose body is changed; 0 if none is.
    body_of: int


class _Statements(ast.NodeVisitor):
    """Collects which lines belong to which function and statement, and what is not changed."""

    def __init__(self) -> None:
        self.functions: list[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str]] = []
        self.simple: list[range] = []
        self.skipped: list[tuple[tuple[int, int], tuple[int, int]]] = []
        self._names: list[str] = []

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            self._names.append(node.name)
            if not isinstance(node, ast.ClassDef):
                self.functions.append((node, ".".join(self._names)))
                self._skip(node.returns)
            for decorator in node.decorator_list:
                self._skip(decorator)
            self.generic_visit(node)
            self._names.pop()
            return
        if isinstance(node, ast.stmt) and not hasattr(node, "body"):
            self.simple.append(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        if isinstance(node, ast.Assert | ast.Import | ast.ImportFrom):
            self._skip(node)
        elif isinstance(node, ast.arg | ast.AnnAssign):
            self._skip(node.annotation)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            self._skip(node)
        self.generic_visit(node)

    def _skip(self, node: ast.AST | None) -> None:
        if node is not None:
            assert isinstance(node, ast.expr | ast.stmt)
            end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
            self.skipped.append(((node.lineno, node.col_offset), end))


def mutants(path: Path, module: str, *, strings: bool = False) -> list[Mutant]:
    """Returns the mutants of the file `path` in order of their places."""
    from tests.mutants.operators import edits  # noqa: PLC0415 (installed by `make mutants` only)

    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    facts = _Statements()
    facts.visit(tree)
    lines = source.splitlines(keepends=True)
    found: list[Mutant] = []
    seen = {source}
    counts: Counter[tuple[str, ...]] = Counter()
    for start, end, text in sorted(edits(source, strings=strings)):
        if any(begin <= start and end <= stop for begin, stop in facts.skipped):
            continue
        first, last = lines[start[0] - 1], lines[end[0] - 1] if end[0] <= len(lines) else ""
        changed = first[: start[1]] + text + last[end[1] :]
        mutated = "".join((*lines[: start[0] - 1], changed, *lines[end[0] :]))
        if mutated in seen or not _valid(mutated):
            continue
        seen.add(mutated)
        place, before, after = _difference(lines[start[0] - 1 : end[0]], changed.splitlines(keepends=True))
        at = start[0] + place
        span = range(at, at + max(1, len(before)))
        functions = [each for each in facts.functions if span.start in _extent(each[0])]
        name = functions[-1][1] if functions else ""
        named = (module, name, _text(before), _text(after))
        counts[named] += 1
        found.append(
            Mutant(
                Identity(*named, counts[named]),
                mutated,
                next((each for each in facts.simple if set(span) <= set(each)), span),
                _begin(functions[0][0]) if functions and span.start >= functions[0][0].body[0].lineno else 0,
            )
        )
    return found


def _valid(source: str) -> bool:
    try:
        compile(source, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def _begin(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return min([function.lineno, *(each.lineno for each in function.decorator_list)])


def _extent(function: ast.FunctionDef | ast.AsyncFunctionDef) -> range:
    return range(function.lineno, (function.end_lineno or function.lineno) + 1)


def _difference(before: list[str], after: list[str]) -> tuple[int, list[str], list[str]]:
    """Returns how many equal lines precede the difference, and the differing lines of both."""
    head = 0
    while head < min(len(before), len(after)) - 1 and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < min(len(before), len(after)) - head - 1 and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return head, before[head : len(before) - tail], after[head : len(after) - tail]


def _text(lines: list[str]) -> str:
    return "\n".join(_stripped(lines))


def _stripped(lines: list[str]) -> Iterator[str]:
    for line in lines:
        yield line.strip()
