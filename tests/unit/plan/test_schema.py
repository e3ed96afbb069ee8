"""The JSON Schema for editors agrees with the reader."""

import json
from typing import Any

import jsonschema
import pytest
import yaml

from heddle import samples
from heddle.plan import schema
from heddle.plan.file import parse

VALIDATOR = jsonschema.Draft202012Validator(schema.json_schema())


def a_document(task: str = "", epic: str = "", plan: str = "") -> str:
    """Returns a valid plan with something added to its task, its epic or the plan itself."""
    return f"{{name: x, {plan} epics: [{{key: a, {epic} tasks: [{{key: t, prompt: x, {task}}}]}}]}}"


def valid(text: str) -> bool:
    document: Any = yaml.safe_load(text)
    return bool(VALIDATOR.is_valid(document))


def test_the_shipped_schema_is_fresh() -> None:
    """The shipped schema is what `python -m heddle.plan.schema` writes."""
    assert schema.FILE.read_text() == schema.text()


def test_the_schema_is_one() -> None:
    """The schema is valid under its own meta-schema."""
    draft = jsonschema.Draft202012Validator
    shipped = json.loads(schema.FILE.read_text())
    assert shipped["$schema"] == draft.META_SCHEMA["$id"]
    errors = list(draft(draft.META_SCHEMA).iter_errors(shipped))
    assert errors == []


def test_the_sample_plan_is_valid() -> None:
    """The sample plan is valid, and its first line points editors to the schema."""
    text = samples.PLAN.read_text()
    assert valid(text)
    name = text.splitlines()[0].partition("$schema=")[2]
    assert (samples.PLAN.parent / name).resolve() == schema.FILE.resolve()


@pytest.mark.parametrize(
    "text",
    [
        a_document(),
        a_document(task="checks: [make, {name: a, run: b}]"),
        a_document(task="estimate: 1h30m, timeout: 5, retries: 0, priority: -1, agent: 'command:x'"),
        a_document(
            task="script: [{say: hi}, {fail: x}, {fail: {attempts: 1}}, {flood: 5}, {wait: 2s}, {plan: {steps: [a, b], done: 1}}]"
        ),
        a_document(epic="depends_on: [], touches: ['a/**'], on_failure: stop_run, priority: 1,"),
        a_document(plan="defaults: {retries: 1},"),
    ],
)
def test_accepts_what_the_reader_accepts(text: str) -> None:
    """The schema and the reader both accept valid plans."""
    assert parse(text, "p").problems == ()
    assert valid(text)


@pytest.mark.parametrize(
    "text",
    [
        "{epics: [{key: a, tasks: [{key: t, prompt: x}]}]}",
        "{name: x}",
        "{name: x, epics: []}",
        "{name: x, epics: [{key: a, tasks: []}]}",
        "{name: x, epics: [{key: a, tasks: [{key: t}]}]}",
        "{name: x, epics: [{key: a, tasks: [{prompt: x}]}]}",
        "[]",
        a_document(task="promt: x"),
        a_document(task="retries: -1"),
        a_document(task="retries: two"),
        a_document(task="estimate: soon"),
        a_document(task="estimate: ''"),
        a_document(task="timeout: 0"),
        a_document(task="checks: [{name: a}]"),
        a_document(task="checks: make"),
        a_document(task="script: [{say: hi, run: ls}]"),
        a_document(task="script: [{}]"),
        a_document(task="script: [{flood: 0}]"),
        a_document(epic="on_failure: stop,"),
        a_document(epic="depends_on: a,"),
        a_document(plan="defaults: {retry: 1},"),
        "{name: x, epics: [{key: a b, tasks: [{key: t, prompt: x}]}]}",
    ],
)
def test_refuses_what_the_reader_refuses(text: str) -> None:
    """The schema and the reader both refuse invalid plans."""
    assert parse(text, "p").problems
    assert not valid(text)
