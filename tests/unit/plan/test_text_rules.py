"""Rules for single values of a plan."""

import pytest
from google.protobuf.duration_pb2 import Duration

from heddle.errors import Violation
from heddle.plan.values import text_rules


def test_a_near_word_is_suggested() -> None:
    """Case does not matter, and long words are not compared."""
    assert text_rules.did_you_mean("BAKEND", ["Backend", "ui"]) == ", did you mean Backend?"
    assert text_rules.did_you_mean("zzz", ["backend"]) == ""
    word = "a" * 62
    assert text_rules.did_you_mean(f"{word}b", [f"{word}c"]) == f", did you mean {word}c?"
    assert text_rules.did_you_mean(f"{word}bb", [f"{word}c"]) == ""
    assert text_rules.did_you_mean(f"{word}b", [f"{word}cc"]) == ""


def test_a_long_text_is_cut_in_messages() -> None:
    """63 characters are shown, in quotes."""
    assert text_rules.shown("a" * 63) == f"'{'a' * 63}'"
    assert text_rules.shown("a" * 64) == f"'{'a' * 63}…'"
    assert text_rules.shown("it's") == '"it\'s"'


def test_words_become_a_choice() -> None:
    """The last word follows "or"."""
    choices = [text_rules.one_of(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])]
    assert choices == ["", "a", "a or b", "a, b or c"]


def said(found: object) -> list[str]:
    """Returns the descriptions of violations, all of which must be of the field `p`."""
    violations: list[Violation] = list(found)  # type: ignore[call-overload]  # an iterator of violations
    assert {each.field for each in violations} <= {"p"}
    return [each.description for each in violations]


@pytest.mark.parametrize(
    ("value", "part"),
    [("", "is missing"), ("a" * 63, ""), ("a" * 64, "is not a valid key"), ("-", "is not a valid key")],
)
def test_a_key(value: str, part: str) -> None:
    """A key has 1 to 63 characters."""
    found = said(text_rules.key("p", value))
    assert len(found) == bool(part)
    assert all(part in text for text in found)


@pytest.mark.parametrize(
    ("value", "problems"),
    [
        ("", []),
        ("é" * 200, []),
        ("é" * 201, ["has 201 characters; at most 200 are allowed"]),
        ("a b", []),
        ("a\x1fb", ["must be one line without control characters"]),
        ("a\n", ["must be one line without control characters"]),
    ],
)
def test_a_title(value: str, problems: list[str]) -> None:
    """A title is one line of at most 200 characters; only a required one may not be blank."""
    assert said(text_rules.title("p", value)) == problems
    assert said(text_rules.required_title("p", value)) == (problems if value else ["is missing"])
    assert said(text_rules.required_title("p", " \t")) == ["is missing"]


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("a/b.py", ""),
        (".gitignore", ""),
        ("a/..b", ""),
        ("", "must name a file in the worktree"),
        (".", "must name a file in the worktree"),
        ("/a", "points outside the worktree"),
        ("a/../../b", "points outside the worktree"),
        (".git/config", "points into git's own files"),
        ("a/.GIT/x", "points into git's own files"),
        ("a\0", "must not contain a NUL character"),
    ],
)
def test_a_path_in_the_worktree(value: str, part: str) -> None:
    """A path is relative, stays inside, and is not one of git's own."""
    found = said(text_rules.inside_worktree("p", value))
    assert len(found) == bool(part)
    assert all(part in text for text in found)


def test_a_command() -> None:
    """A command is not blank and has no NUL."""
    assert said(text_rules.command("p", "make")) == []
    assert said(text_rules.command("p", " \n")) == ["needs a shell command"]
    assert said(text_rules.command("p", "a\0")) == ["must not contain a NUL character"]


@pytest.mark.parametrize(
    ("value", "problems"),
    [
        (Duration(), ["must be greater than zero seconds"]),
        (Duration(seconds=-1), ["must be greater than zero seconds"]),
        (Duration(nanos=1), []),
        (Duration(seconds=1, nanos=-1), []),
        (Duration(seconds=31_536_000), []),
        (Duration(seconds=31_536_000, nanos=500_000_000), ["must be at most 365 days"]),
        (Duration(seconds=31_536_001), ["must be at most 365 days"]),
    ],
)
def test_a_length_of_time(value: Duration, problems: list[str]) -> None:
    """A duration is greater than zero and at most a year, fractions of seconds included."""
    assert said(text_rules.positive("p", value)) == problems
