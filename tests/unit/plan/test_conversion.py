"""Each invalid value of a plan file has one message that says what is valid."""

import pytest
from pydantic import BaseModel

from heddle import pb
from heddle.plan.file import parse
from heddle.plan.models.plan_model import PARTS
from heddle.plan.yaml import conversion
from heddle.plan.yaml.conversion import convert
from heddle.plan.yaml.source import Source

PLAN = """\
name: x
epics:
  - key: a
    tasks:
      - key: t
        prompt: Do
"""
DIGITS = " in plain decimal digits, without quotes, leading zeros or _"
SCRIPT = "epics[0].tasks[0].script"


def found(text: str) -> list[tuple[str, str]]:
    return [(problem.field, problem.message) for problem in parse(text, "p").problems]


@pytest.mark.parametrize(
    ("line", "field", "message"),
    [
        ("budget_usd: .inf", "budget_usd", "is '.inf'; it must be a number"),
        ("budget_usd: x", "budget_usd", "is 'x'; it must be a number"),
        ("budget_usd: 1_0", "budget_usd", f"is '1_0'; it must be a number{DIGITS}"),
        ("budget_usd: '1'", "budget_usd", f"is '1'; it must be a number{DIGITS}"),
        ("budget_usd: [1]", "budget_usd", "must be a number"),
        ("budget_usd: 0", "budget_usd", "is '0'; it must be greater than 0"),
        ("merge_checks: 3", "merge_checks", "is '3'; it must be a list"),
        ("merge_style: x", "merge_style", "is 'x'; it must be 'merge' or 'squash'"),
        ("defaults: 3", "defaults", "is '3'; it must be a mapping of keys to values"),
        ("defaults: {permissions: [1]}", "defaults.permissions", "must be a mapping of keys to values"),
        ("defaults: {retries: -1}", "defaults.retries", "is '-1'; it must be at least 0"),
        ("defaults: {retries: '1'}", "defaults.retries", f"is '1'; it must be a whole number{DIGITS}"),
        ("defaults: {retries: x}", "defaults.retries", "is 'x'; it must be a whole number"),
        ("defaults: {model: 5}", "defaults.model", "must be text; put '5' in quotes"),
        ("defaults: {model: [5]}", "defaults.model", "must be text"),
        (
            "defaults: {permissions: {nope: 1}}",
            "defaults.permissions.nope",
            "unknown key; valid keys are default, allow, deny, wait, project_config",
        ),
        (
            "defaults: {permissions: {alow: 1}}",
            "defaults.permissions.alow",
            "unknown key, did you mean allow?",
        ),
    ],
)
def test_an_invalid_value_has_one_message(line: str, field: str, message: str) -> None:
    """The message names the value, if it is a scalar, and the valid ones."""
    assert found(f"{PLAN}{line}\n") == [(field, message)]


@pytest.mark.parametrize(
    ("steps", "errors"),
    [
        ("5", [("", "is '5'; it must be a list")]),
        ("[5]", [("[0]", "is '5'; it must be a mapping of keys to values")]),
        (
            "[{usage: {model: m, input_tokens: -1, output_tokens: x}}]",
            [
                ("[0].usage.input_tokens", "is '-1'; it must be at least 0"),
                ("[0].usage.output_tokens", "is 'x'; it must be a whole number"),
            ],
        ),
        ("[{fail: [x]}]", [("[0].fail", "must be a mapping of keys to values")]),
    ],
)
def test_an_invalid_script_is_reported_once(steps: str, errors: list[tuple[str, str]]) -> None:
    """The rest of a task with an invalid script is still checked, and its script is not reported again."""
    assert found(f"{PLAN}        script: {steps}\n") == [
        (SCRIPT + field, message) for field, message in errors
    ]


def test_an_empty_or_wrong_value_in_a_list_is_one_error() -> None:
    """Invalid items of lists are reported in their place; a dependency on a number as a key is still resolved."""
    text = """\
name: x
epics:
  - key:
    tasks: [{key: 7, prompt: x}, {key: [u], prompt: x}]
  - {key: 1, depends_on: [1, {}], tasks: [x]}
"""
    assert found(text) == [
        ("epics[0].key", "is empty; it must be text"),
        ("epics[0].tasks[0].key", "must be text; put '7' in quotes"),
        ("epics[0].tasks[1].key", "must be text"),
        ("epics[1].key", "must be text; put '1' in quotes"),
        ("epics[1].depends_on[0]", "must be text; put '1' in quotes"),
        ("epics[1].depends_on[1]", "must be text"),
        ("epics[1].tasks[0]", "is 'x'; it must be a mapping of keys to values"),
    ]


@pytest.mark.parametrize("count", [1_000, 1_001])
def test_at_most_a_thousand_errors_are_listed(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """No one reads more errors of one pass."""
    monkeypatch.setattr(conversion, "_MAX_PASSES", 1)
    root = Source("name: x\nepics: [" + "1," * count + "]\n").root
    assert root is not None
    message, errors = convert(root, PARTS, pb.Plan)
    assert message is None
    assert len(errors) == 1_000


@pytest.mark.parametrize(("rounds", "converted"), [(3, True), (4, False)])
def test_a_file_is_repaired_a_few_times(
    monkeypatch: pytest.MonkeyPatch, rounds: int, *, converted: bool
) -> None:
    """A repair may reveal further errors; after four passes, the rest of the file is not checked."""
    passes = 0
    validate = PARTS[""].model_validate

    def late(data: object) -> BaseModel:
        nonlocal passes
        passes += 1
        # Each pass up to `rounds` finds one more error.
        return validate({**data, "epics": passes} if passes <= rounds and isinstance(data, dict) else data)

    monkeypatch.setattr(PARTS[""], "model_validate", late)
    root = Source(PLAN).root
    assert root is not None
    message, errors = convert(root, PARTS, pb.Plan)
    assert (message is not None) is converted
    assert [path for path, _ in errors] == [("epics",)]


def test_absent_keys_stay_absent() -> None:
    """A key that the file does not have is not set in the message."""
    loaded = parse(PLAN, "p")
    assert not loaded.problems
    assert loaded.plan == pb.Plan(
        name="x", epics=[pb.PlanEpic(key="a", tasks=[pb.PlanTask(key="t", prompt="Do")])]
    )
