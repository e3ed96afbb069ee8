"""Two globs overlap exactly if a path matches both."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from heddle.globs import overlap, pattern

# All paths of up to three parts of up to two letters: enough to distinguish the globs below.
NAMES = ["".join(letters) for size in (1, 2, 3) for letters in itertools.product("ab", repeat=size)]
PATHS = [parts for size in (1, 2, 3) for parts in itertools.product(NAMES, repeat=size)]

names = st.text("ab*?", min_size=1, max_size=2)
small_globs = st.lists(st.just("**") | names, min_size=1, max_size=2).map("/".join)


def matches(parts: tuple[str, ...], glob: list[str]) -> bool:
    """Matches by definition: once the glob is used up, the rest of the path is inside of it."""
    if not glob:
        return True
    if glob[0] == "**":
        return any(matches(parts[skip:], glob[1:]) for skip in range(len(parts) + 1))
    return bool(parts) and name_matches(parts[0], glob[0]) and matches(parts[1:], glob[1:])


def name_matches(name: str, pattern: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(name_matches(name[skip:], pattern[1:]) for skip in range(len(name) + 1))
    return bool(name) and pattern[0] in {name[0], "?"} and name_matches(name[1:], pattern[1:])


@settings(max_examples=300, deadline=None)
@given(small_globs, small_globs)
@example("**/a", "b/**")
@example("a*", "*b")
@example("?", "aa")
def test_agrees_with_trying_every_path(one: str, other: str) -> None:
    """For short globs over two letters the result is that of brute force."""
    found = any(matches(path, one.split("/")) and matches(path, other.split("/")) for path in PATHS)
    assert overlap(one, other) == found


@settings(deadline=None)
@given(small_globs)
@example("**/a")
@example("a/**/b")
@example("*a*b")
def test_a_pattern_matches_what_the_glob_names(glob: str) -> None:
    """For short paths over two letters a pattern matches the paths that brute force finds."""
    for path in PATHS:
        assert bool(pattern(glob).fullmatch("/".join(path))) is matches(path, glob.split("/")), path


@settings(deadline=None)
@given(small_globs, small_globs)
def test_does_not_mind_the_order(one: str, other: str) -> None:
    """Overlap is symmetric."""
    assert overlap(one, other) == overlap(other, one)


@settings(deadline=None)
@given(small_globs)
def test_overlaps_with_itself(glob: str) -> None:
    """Every glob overlaps with itself."""
    assert overlap(glob, glob)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("src/**", "src/api/books.py", True),
        ("src", "src/api/books.py", True),
        ("src/*.py", "src/api/books.py", False),
        ("src/*.py", "src/*.js", False),
        ("src/*.py", "src/test_*", True),
        ("**/*.sql", "database/**", True),
        ("api/**", "web/**", False),
        ("./api/", "api/x", True),
        ("a[b]", "ab", False),
        ("**", "x", True),
        # After **, parts at the same place need not be alike.
        ("**/a/x", "b/c/a/x", True),
        ("b/c/a/x", "**/a/x", True),
        # A longer name does not meet a shorter one.
        ("aaa", "?", False),
        ("aa?", "a", False),
    ],
)
def test_knows_everyday_globs(one: str, other: str, expected: bool) -> None:
    """The usual forms of globs in plans are compared correctly."""
    assert overlap(one, other) is expected


def test_long_globs_are_no_trouble() -> None:
    """Long globs cause neither deep recursion nor exponential time."""
    assert overlap("*a" * 500, "a*" * 500)
    assert overlap("/".join(["**", "a"] * 200), "/".join(["a"] * 1000))
    path = "/".join(["a" * 250] * 8) + "/b"
    assert not pattern("*a" * 100 + "c").fullmatch(path)
    assert not pattern("/".join(["**", "*a*"] * 10) + "/c").fullmatch(path)


@pytest.mark.parametrize(
    ("glob", "matched", "missed"),
    [
        ("a/", ["a", "a/b"], ["ab", "b/a"]),
        ("/a", ["/a", "/a/b"], ["a"]),
        ("./a", ["a"], ["b"]),
        ("a/**/b/**/c", ["a/b/c", "a/x/b/y/z/c", "a/b/c/d"], ["a/x/c", "a/c/b", "b/c"]),
        ("a*c", ["ac", "abc", "abc/x"], ["a/c", "acb"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_which_paths_a_pattern_matches(glob: str, matched: list[str], missed: list[str]) -> None:
    """A folder at either end, parts between two **, and signs of regular expressions are taken as written."""
    assert [path for path in matched if not pattern(glob).fullmatch(path)] == []
    assert [path for path in missed if pattern(glob).fullmatch(path)] == []
