"""Reading any file returns a plan or errors and never fails otherwise."""

import re

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from heddle.plan import rules
from heddle.plan.file import parse
from heddle.plan.models.plan_model import PARTS

KEYS = sorted({key for part in PARTS.values() for key in part.model_fields})
# Keys and values that a plan can contain, mostly in the wrong place.
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.binary(max_size=3)
    | st.text(max_size=5)
    | st.text("a\x85\u2028\u2029\r\n", max_size=5)
    | st.sampled_from(["a", "A", "2s", "1h", "scripted", "command:x", "continue", "../x", "x.py"])
)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=30,
)

words = st.sampled_from(["a", "b", "A b", "", "1", "x" * 70])
tasks = st.fixed_dictionaries(
    {"key": words},
    optional={
        "prompt": words,
        "priority": st.integers(),
        "estimate": st.sampled_from(["1s", "0", -1, 1.5, "1d2h", True]),
        "agent": st.sampled_from(["scripted", "command:x", "command:", "z"]),
        "checks": st.lists(
            words | st.fixed_dictionaries({}, optional={"name": words, "run": words}), max_size=2
        ),
        "retries": st.integers(),
        "script": st.lists(st.dictionaries(st.sampled_from(KEYS), scalars, max_size=2), max_size=3),
    },
)
epics = st.fixed_dictionaries(
    {"key": words, "tasks": st.lists(tasks, max_size=3)},
    optional={"depends_on": st.lists(words, max_size=3), "touches": st.lists(words, max_size=2)},
)
near_plans = st.fixed_dictionaries({"name": words, "epics": st.lists(epics, max_size=4)})


@settings(max_examples=200, deadline=None)
@given(documents | near_plans)
def test_any_document_is_judged(document: object) -> None:
    """A document without errors is a valid plan; each error has a position within the text."""
    text = yaml.safe_dump(document, allow_unicode=True)
    loaded = parse(text, "p")
    if not loaded.problems:
        assert loaded.plan.epics
        assert rules.violations(loaded.plan) == []
    lines = len(re.findall(r"\r\n?|\n", text)) + 1
    assert all(0 <= problem.line <= lines for problem in loaded.problems)
    assert list(loaded.problems) == sorted(loaded.problems)
    assert len(set(loaded.problems)) == len(loaded.problems)


@settings(max_examples=300, deadline=None)
@given(st.text() | st.text("ab:-[]{}&*!|>'\"#%,? \n\t\\x0") | st.binary())
def test_any_text_is_judged(content: str | bytes) -> None:
    """Any sequence of bytes gives a plan or errors."""
    loaded = parse(content, "p")
    assert loaded.problems
    assert loaded.describe()
