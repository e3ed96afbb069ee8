"""Plans with parameters."""

import pytest

from heddle.plan.file import parse

PLAN = """\
name: Review ${{ inputs.area }}
inputs:
  area:
    description: The folder.
    required: true
  retries: {type: number, default: 2}
  careful: {type: boolean}
  agent:
    type: choice
    options: [claude, codex]
    default: claude
epics:
  - key: ${{ inputs.area }}
    tasks:
      - key: check
        retries: ${{ inputs.retries }}
        agent: ${{inputs.agent}}
        prompt: |
          Review ${{ inputs.area }}/src with ${{ inputs.agent }}, careful: ${{ inputs.careful }}.
          In workflows, $${{ github.sha }} stays.
"""


def problems(text: str, **inputs: str) -> list[str]:
    return [each.describe("plan.yaml") for each in parse(text, "plan.yaml", inputs).problems]


def test_values_are_inserted() -> None:
    """References are replaced in any value; one that is the whole value has the type of its input."""
    loaded = parse(PLAN, "plan", {"area": "api", "agent": "codex"})
    assert not loaded.problems
    (epic,) = loaded.plan.epics
    (task,) = epic.tasks
    assert (loaded.plan.name, epic.key, task.retries, task.agent) == ("Review api", "api", 2, "codex")
    assert task.prompt == (
        "Review api/src with codex, careful: false.\nIn workflows, ${{ github.sha }} stays.\n"
    )
    assert loaded.inputs == {"area": "api", "retries": "2", "careful": "false", "agent": "codex"}
    assert loaded.text == PLAN


def test_a_value_is_text_and_nothing_else() -> None:
    """A value with YAML, a reference or an expression is inserted as it is."""
    for value in ("a: [b]", "${{ inputs.agent }}", "x\n- y", "$(rm -rf /)"):
        loaded = parse(PLAN.replace("key: ${{ inputs.area }}", "key: a"), "plan", {"area": value})
        assert loaded.plan.epics[0].tasks[0].prompt.startswith(f"Review {value}/src")


def test_a_plan_without_inputs_is_left_alone() -> None:
    """Prompts about other templates keep their text; an input cannot be given to such a plan."""
    text = "{name: x, epics: [{key: a, tasks: [{key: t, prompt: 'Fix ${{ github.sha }}'}]}]}"
    assert parse(text, "plan").plan.epics[0].tasks[0].prompt == "Fix ${{ github.sha }}"
    assert problems(text, area="api") == [
        "plan.yaml: inputs: the plan has no inputs, so none can be named 'area'"
    ]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({}, "plan.yaml:3:3: inputs.area: needs a value: --input area=VALUE"),
        ({"area": "a", "aera": "b"}, "plan.yaml:2:1: inputs: there is no input 'aera', did you mean area?"),
        ({"area": "a", "retries": "two"}, "plan.yaml:6:3: inputs.retries: is 'two'; it must be a number"),
        (
            {"area": "a", "careful": "yes"},
            "plan.yaml:7:3: inputs.careful: is 'yes'; it must be true or false",
        ),
        ({"area": "a", "agent": "gemini"}, "plan.yaml:8:3: inputs.agent: is 'gemini'; use claude or codex"),
    ],
)
def test_a_wrong_value_is_named_with_its_input(inputs: dict[str, str], expected: str) -> None:
    """Unknown, missing and wrong values are errors at the declaration."""
    assert expected in problems(PLAN, **inputs)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("type: number", "type: int", "plan.yaml:6:19: inputs.retries.type: 'int' is unknown; use"),
        ("default: 2", "default: two", "plan.yaml:6:36: inputs.retries.default: is 'two'; it must be a number"),
        ("default: claude", "default: x", "plan.yaml:11:14: inputs.agent.default: is 'x'; use claude or codex"),
        ("    options: [claude, codex]\n", "", "inputs.agent.options: is missing"),
        ("required: true", "requierd: true", "inputs.area.requierd: unknown key, did you mean required?"),
        ("required: true", "required: maybe", "inputs.area.required: must be true or false"),
        ("{{inputs.agent}}", "{{inputs.agnet}}", "epics[0].tasks[0].agent: there is no input 'agnet', did you mean agent?"),
        ("{{inputs.agent}}", "{{ 1 + 1 }}", "plan.yaml:17:16: epics[0].tasks[0].agent: '${{ 1 + 1 }}' is not known here"),
        ("  area:\n", "  a b:\n", "plan.yaml:3:3: inputs.a b: is not a valid name"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_or_reference_is_named(old: str, new: str, expected: str) -> None:
    """Each has its line and field."""
    found = problems(PLAN.replace(old, new, 1), area="api")
    assert any(expected in each for each in found)


def test_the_filled_plan_is_checked() -> None:
    """An inserted value that is not allowed at its place is an error of that place."""
    (found,) = problems(PLAN, area="a/b")
    assert found.startswith("plan.yaml:13:5: epics[0].key: 'a/b' is not a valid key")
