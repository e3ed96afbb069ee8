"""What unquoted text in a plan means, and which text is refused because it is ambiguous."""

import io
import json
import sys
from pathlib import Path

import pytest
from yaml.constructor import SafeConstructor

from heddle import pb
from heddle.plan.file import LoadedPlan, load, parse
from heddle.plan.values.scalars import Scalar, cut_off, value_of, with_whole_characters

PLAN = """name: P
defaults: {{agent: "command:true"{defaults}}}
epics:
  - key: e{epic}
    tasks:
      - key: t
        prompt: {prompt}
"""


def plan(*, defaults: str = "", epic: str = "", prompt: str = "Go") -> LoadedPlan:
    filled = PLAN.format(defaults=f", {defaults}" if defaults else "", epic=epic, prompt=prompt)
    return parse(filled, "p.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, None) for text in ("", "~", "null", "NULL")),
        *((text, True) for text in ("true", "True", "TRUE")),
        *((text, False) for text in ("false", "FALSE")),
        *(("0", 0), ("10", 10), ("-3", -3), ("+4", 4)),
        *(("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("-2.5E-1", -0.25)),
        *((text, text) for text in ("yes", "no", "on", "off", "y", "N", "Yes", "OFF")),
        *((text, text) for text in ("010", "0o10", "0x1F", "0b11", "1_000", "1:30", "1:30:00", "00", "01.5")),
        *(
            (text, text)
            for text in (".inf", "-.Inf", ".nan", "2026-11-29", "2026-11-29T10:00:00Z", "1e", "<<", "=")
        ),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_words_mean_what_yaml_1_2_says(text: str, value: Scalar) -> None:
    """Decimal numbers, true, false and null are values; other values of YAML 1.1 are text."""
    found = value_of(text)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("retries: 010", "is '010'; it must be a whole number in plain decimal digits"),
        ("retries: 1_0", "is '1_0'; it must be a whole number in plain decimal digits"),
        ("retries: 0x10", "is '0x10'; it must be a whole number in plain decimal digits"),
        ("retries: '1'", "is '1'; it must be a whole number in plain decimal digits"),
        ("timeout: 1:30", "is not a valid duration; use 90s, 5m, 1h30m, 2d, or a number of seconds"),
        ("timeout: .inf", "is not a valid duration; use 90s, 5m, 1h30m, 2d, or a number of seconds"),
    ],
)
def test_what_only_looks_like_a_number_is_refused(written: str, told: str) -> None:
    """An ambiguous number is refused with its line, its value and the correct form."""
    (problem,) = plan(defaults=written).problems
    assert problem.line == 2
    assert problem.message.startswith(told)


def test_a_budget_is_a_plain_number() -> None:
    """A budget accepts only decimal digits too."""
    for written in (".nan", ".inf", "1_000.0", "0x10", "12:30"):
        (problem,) = plan(epic=f"\n    budget_usd: {written}").problems
        assert problem.message.startswith(f"is '{written}'; it must be a number")


def test_a_plan_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash instead of a file reads standard input, and error messages name it."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"name: P\nepics: 3\n")))
    loaded = load(Path("-"))
    assert loaded.describe().startswith("standard input:2:1: epics: ")


def test_off_stays_off() -> None:
    """`merge: off` needs no quotes, and false in JSON means the same."""
    for written in ("off", "'off'", "false"):
        loaded = plan(defaults=f"merge: {written}")
        assert (loaded.problems, loaded.plan.defaults.merge) == ((), pb.MERGE_POLICY_OFF)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": "Fix issue #12 and the crash"}, "epics[0].tasks[0].prompt"),
        ({"prompt": "Port it to C # and F"}, "epics[0].tasks[0].prompt"),
        ({"prompt": "Fix these\n          #12 and #13"}, "epics[0].tasks[0].prompt"),
        ({"epic": "\n    title: Bugs of #7"}, "epics[0].title"),
        ({"epic": "\n    touches: [src, docs #all\n      ]"}, "epics[0].touches[1]"),
    ],
)
def test_text_that_a_comment_would_cut_is_refused(fields: dict[str, str], field: str) -> None:
    """Text that YAML would cut at an unintended comment is an error at that text."""
    (problem,) = plan(**fields).problems
    assert problem.field == field
    assert "put the text in quotes" in problem.message


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "'Fix issue #12'"},
        {"prompt": "|\n          Fix\n          #12 and # more"},
        {"prompt": "Fix issue#12"},
        {"prompt": "Go\n        #retries: 2"},
        {"epic": " # the first epic"},
        {"epic": " #"},
        {"defaults": "retries: 2 #two\n  "},
        {"epic": "\n    #title: Old"},
    ],
)
def test_comments_and_quoted_text_stay(fields: dict[str, str]) -> None:
    """Real comments, commented-out keys, and quoted or block text with a # are valid."""
    assert not plan(**fields).problems


def test_cut_off_at_the_end_of_a_file() -> None:
    """The last word of a file has nothing after it."""
    assert not cut_off("a: b", 4, is_prose=True, indent=1)


def test_json_is_taken_as_json_programs_write_it() -> None:
    """Surrogate pairs, tabs before lines and escaped slashes are read as a JSON parser does."""
    prompt = "\U0001f680 \U0001f600 \\ud83d\\ude00 \\ / caf\u00e9"
    whole = {"name": "J", "epics": [{"key": "e", "tasks": [{"key": "t", "prompt": prompt}]}]}
    for text in (json.dumps(whole), json.dumps(whole, indent="\t"), json.dumps(whole).replace("/", "\\/")):
        loaded = parse(text, "p.json")
        assert not loaded.problems, loaded.describe()
        assert loaded.plan.epics[0].tasks[0].prompt == prompt


def test_half_a_character_is_said() -> None:
    """For a lone surrogate, or a pair in YAML that is not JSON, the error gives the correct form."""
    for text in ('{"name": "\\ud83d"}', 'name: "\\ud83d\\ude00"'):
        (problem,) = parse(text, "p").problems
        assert "write the character itself" in problem.message
        assert problem.line == 1


def test_only_json_is_changed() -> None:
    """In YAML that is not JSON, the letters of an escape and tabs can be part of a text."""
    for text in ("{a: '\\ud83d\\ude00'}", "a: |\n  \\ud83d\\ude00", "{a: b}\n\t"):
        assert with_whole_characters(text) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: a\nname: b\n", "duplicate key; it is already on line 1"),
        ("name: &x a\ntitle: *x\n", "anchors and aliases are not supported"),
        ("<<: {name: a}\n", "unknown key"),
        ("name: a\n---\nname: b\n", "contains more than one document"),
        ("name: !!str a\n", "tags are not supported"),
    ],
)
def test_what_a_plan_does_not_use(text: str, told: str) -> None:
    """Duplicate keys, anchors, merge keys, tags and several documents are refused with their line."""
    assert any(told in problem.message and problem.line for problem in parse(text, "p").problems)


@pytest.mark.parametrize(
    ("text", "is_prose", "indent", "cut"),
    [
        ("a: b #12", False, 0, "#12"),
        ("a: b # 12", False, 0, ""),
        ("a: b # 12", True, 1, "# 12"),
        ("a: b\n  #12\n", True, 2, "#12"),
        ("a: b\n  #12\n", True, 3, ""),
        ("a: b\n  # 12\n", True, 2, ""),
        ("a: b\n  #12\n", False, 2, ""),
        ("a: b\n  #12\n", True, 0, ""),
        ("a: b\n  c\n", True, 1, ""),
    ],
)
def test_which_comment_is_part_of_a_text(text: str, is_prose: bool, indent: int, cut: str) -> None:
    """On the next line, only in prose and only if it is indented at least like the key."""
    assert cut_off(text, 4, is_prose=is_prose, indent=indent) == cut


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        (' {\n\t\t"a": "\t"}', None),
        (' {\n\t\t"a": 1}', ' {\n  "a": 1}'),
        ('{"a": "\\ud83d\\ude00"}', '{"a": "\\U0001F600"}'),
        ('["\\ud83d\\ude00"]', None),
        ('{"a": 1}', None),
        ('{"a": "\\ud83d\\ude00"', None),
    ],
)
def test_only_a_json_object_is_rewritten(text: str, whole: str | None) -> None:
    """It may begin after blanks; any other text, and JSON that needs no change, stays as it is."""
    assert with_whole_characters(text) == (text if whole is None else whole)


def test_numbers_to_the_base_of_60_are_never_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """YAML 1.1 reads 59:59:59 as a number, in a time that grows with the square of its length."""
    monkeypatch.setattr(SafeConstructor, "construct_yaml_int", None)
    monkeypatch.setattr(SafeConstructor, "construct_yaml_float", None)
    assert plan(prompt="59:59:59").plan.epics[0].tasks[0].prompt == "59:59:59"
