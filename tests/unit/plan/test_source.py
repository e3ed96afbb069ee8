"""YAML becomes values with positions; what cannot be one is reported with its place and path."""

import pytest
import yaml

from heddle.plan.yaml import source
from heddle.plan.yaml.source import Node, Place, Problem, Source


def problems(text: str) -> list[Problem]:
    return Source(text).problems


ALIAS = "anchors and aliases are not supported; write the value out"
TAG = "tags are not supported: 'tag:yaml.org,2002:"
HALF = "contains half a character (a lone surrogate)"


@pytest.mark.parametrize(
    ("text", "values", "problem", "lost"),
    [
        ("a: *x\nb: 1\n", {"a": None, "b": 1}, (1, 4, "a", ALIAS), {"a"}),
        ("a: {b: {c: *x}}\nd: e\n", {"a": {"b": {"c": None}}, "d": "e"}, (1, 12, "a.b.c", ALIAS), {"a.b.c"}),
        ("- [*x, 2]\n", [[None, 2]], (1, 4, "[0][0]", ALIAS), {"[0][0]"}),
        ("a: &x 1\n", {"a": 1}, (1, 4, "a", ALIAS), set()),
        ("[a, b]: c\nd: e\n", {"": "c", "d": "e"}, (1, 1, "", "a key must be plain text"), set()),
        ("x: {[a]: c}\n", {"x": {"": "c"}}, (1, 5, "x", "a key must be plain text"), set()),
        ("a: !!map {b: 1}\n", {"a": {"b": 1}}, (1, 4, "a", f"{TAG}map'"), set()),
        ("- a: !!str b\n", [{"a": "b"}], (1, 6, "[0].a", f"{TAG}str'"), set()),
        (
            "a: 1\nb: {a: 2, a: 3}\n",
            {"a": 1, "b": {"a": 2}},
            (2, 11, "b.a", "duplicate key; it is already on line 2"),
            set(),
        ),
    ],
)
def test_a_value_that_is_refused_leaves_the_rest(
    text: str, values: object, problem: tuple[int, int, str, str], lost: set[str]
) -> None:
    """An alias, a tag or a key that is not text is one error at its path; everything else is read."""
    read = Source(text)
    assert read.root is not None
    assert read.root.plain() == values
    assert problems(text) == [problem]
    assert read.lost == lost


@pytest.mark.parametrize("half", ["\\ud800", "\\udbff", "\\udfff"])
def test_half_a_character_is_refused_by_both_parsers(monkeypatch: pytest.MonkeyPatch, half: str) -> None:
    """Libyaml refuses such an escape itself; PyYAML's own parser reads it, and the value is left out."""
    text = f'a: [1, "x{half}y"]\nb: 2\n'
    [(*_, message)] = problems(text)
    assert message.startswith("contains half a character: write")
    monkeypatch.setattr(source, "_LOADER", yaml.SafeLoader)
    read = Source(text)
    assert read.root is not None
    assert read.root.plain() == {"a": [1, None], "b": 2}
    assert problems(text) == [(1, 8, "a[1]", HALF)]
    assert read.lost == {"a[1]"}
    for whole in ("\\ud7ff", "\\ue000"):
        assert problems(text.replace(half, whole)) == []


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (
            "b: 1\na: @x\n",
            2,
            4,
            "is not valid YAML: a word cannot start with a tab, @ or `; indent with spaces, and put such text in quotes",
        ),
        (
            "a: [1\n",
            2,
            1,
            "is not valid YAML: while parsing a flow sequence: did not find expected ',' or ']'",
        ),
        ("a: b: c\n", 1, 5, "is not valid YAML: mapping values are not allowed in this context"),
        (
            "a: 1\nb: \x07\n",
            0,
            0,
            "is not valid YAML: unacceptable character #x0007: control characters are not allowed",
        ),
    ],
)
def test_text_that_is_not_yaml_has_no_root(text: str, line: int, column: int, message: str) -> None:
    """A syntax error is one problem with the parser's words, and nothing is read."""
    read = Source(text)
    assert read.root is None
    assert problems(text) == [(line, column, "", message)]


def test_only_the_first_line_of_a_parsers_words_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further lines of an error without a place repeat the text of the file."""
    monkeypatch.setattr(source, "_LOADER", yaml.SafeLoader)
    [(*_, message)] = problems("a: \x07\n")
    assert message == "is not valid YAML: unacceptable character #x0007: special characters are not allowed"


def test_a_second_document_is_reported_once() -> None:
    """The first of several documents is read, and the error is where the second begins."""
    text = "a: 1\n---\nb: 2\n---\nc: 3\n"
    read = Source(text, "project file")
    assert read.root is not None
    assert read.root.plain() == {"a": 1}
    assert [tuple(problem) for problem in read.problems] == [
        (2, 1, "", "contains more than one document; a project file must be a single one")
    ]


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("prompt: a #b\n", "An intended comment needs a space after its # and a line of its own"),
        ("title: a #b\n", "An intended comment needs a space after its #"),
        ("- a #b\n", "An intended comment needs a space after its #"),
    ],
)
def test_the_advice_for_text_that_is_cut_off_depends_on_its_key(text: str, advice: str) -> None:
    """A prompt continues on further lines, so its comment needs a line of its own."""
    [(*_, message)] = problems(text)
    assert message.startswith("ends before '#b', which YAML reads as a comment; put the text in quotes")
    assert message.endswith(advice)


def test_places_count_lines_as_editors_do() -> None:
    """Lines end at LF, CR and CRLF; a place is a line and a column from 1."""
    read = Source("a: 1\r\nb:\r  - x\n  - {c: 2}\n")
    assert read.root is not None
    assert read.root.place == Place(1, 1)
    assert read.root.keys == {"a": Place(1, 1), "b": Place(2, 1)}
    assert [read.root.place_of(path) for path in (("b", 0), ("b", 1, "c"), ("b", 1, "d"), ("b", 2), ())] == [
        Place(3, 5),
        Place(4, 6),
        Place(4, 5),
        Place(2, 1),
        Place(1, 1),
    ]


def test_a_step_fits_its_container() -> None:
    """A key is looked up in a mapping and an index in a list; anything else finds nothing."""
    read = Source("a: [x]\n'0': y\n")
    assert read.root is not None
    items = read.root.child("a")
    assert items is not None
    assert items.child(0) == Node(Place(1, 5), "x", "x")
    assert (items.child(1), items.child("0"), items.child("a")) == (None, None, None)
    assert (read.root.child(0), read.root.child("c")) == (None, None)
    word = items.child(0)
    assert word is not None
    assert (word.child(0), word.child("x")) == (None, None)
    assert Node(Place()).place == (0, 0)
    assert read.root.find(("a", 1, "b")) is None
