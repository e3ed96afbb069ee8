from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heddle import errors, names, pb
from heddle.names import AttemptName, EpicName, RunName, TaskName, WorktreeName

keys = st.from_regex(names.KEY, fullmatch=True)


@given(keys, keys, keys, st.integers(min_value=1, max_value=999_999_999))
def test_parsing_a_printed_name_returns_its_parts(run: str, epic: str, task: str, number: int) -> None:
    """Parsing a formatted name returns the same name."""
    attempt = RunName(run).epic(epic).task(task).attempt(number)
    assert AttemptName.parse(str(attempt)) == attempt
    assert TaskName.parse(str(attempt.parent)) == attempt.parent
    assert EpicName.parse(str(attempt.parent.parent)) == attempt.parent.parent
    assert RunName.parse(str(attempt.parent.parent.parent)) == RunName(run)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "runs",
        "runs/",
        "runs/a/b",
        "run/a",
        "runs/-",
        "runs/../..",
        "runs/a b",
        "runs/a\n",
        "runs/" + "a" * 64,
        "/runs/a",
        "runs/a/",
    ],
)
def test_a_malformed_run_name_is_refused(name: str) -> None:
    """A name that is not of the form runs/RUN is INVALID_FIELD, and the message shows the form."""
    with pytest.raises(errors.HeddleError, match="runs/RUN") as caught:
        RunName.parse(name)
    assert caught.value.reason == pb.ERROR_REASON_INVALID_FIELD


@pytest.mark.parametrize("number", ["0", "-1", "01", "1.5", "x", "9999999999"])
def test_an_attempt_number_is_a_plain_positive_integer(number: str) -> None:
    """Each attempt has only one valid spelling."""
    with pytest.raises(errors.HeddleError):
        AttemptName.parse(f"runs/r/epics/e/tasks/t/attempts/{number}")


def test_a_wildcard_is_accepted_only_where_asked_for_and_never_for_the_run() -> None:
    """In list calls only, a dash means every epic or task."""
    assert EpicName.parse("runs/r/epics/-", wildcard=True) == EpicName("r", names.ANY)
    with pytest.raises(errors.HeddleError):
        EpicName.parse("runs/r/epics/-")
    with pytest.raises(errors.HeddleError):
        TaskName.parse("runs/-/epics/-/tasks/-", wildcard=True)


def test_a_worktree_is_named_below_its_epic() -> None:
    """A worktree's name converts to its epic and back; any other name is refused."""
    worktree = WorktreeName("r", "e")
    assert WorktreeName.parse(str(worktree)) == worktree
    assert str(worktree) == f"{worktree.parent}/worktree"
    for name in ("runs/r/epics/e", "worktree", "/worktree", "runs/r/worktree", "runs/r/epics/e/worktree/"):
        with pytest.raises(errors.HeddleError):
            WorktreeName.parse(name)


def test_branches_are_named_after_their_run() -> None:
    """The branches of a run have the names that users and git hosts see."""
    assert RunName("r").branch == "heddle/r/merged"
    assert EpicName("r", "e").branch == "heddle/r/epics/e"


def test_names_lead_to_their_parents_and_children() -> None:
    """Each name knows its parent, and its text is its path."""
    attempt = AttemptName("r", "e", "t", 3)
    assert str(attempt) == "runs/r/epics/e/tasks/t/attempts/3"
    assert attempt.parent == TaskName("r", "e", "t") == EpicName("r", "e").task("t")
    assert attempt.parent.parent == EpicName("r", "e") == RunName("r").epic("e")
    assert TaskName("r", "e", "t").attempt(3) == attempt
    assert WorktreeName("r", "e").parent == EpicName("r", "e")


def test_a_run_or_an_epic_is_told_apart() -> None:
    """A name with an epic is that of an epic; any other must be that of a run."""
    assert names.run_or_epic("runs/r") == RunName("r")
    assert names.run_or_epic("runs/r/epics/e") == EpicName("r", "e")
    for name in ("epics/e", "runs/r/epics/e/tasks/t"):
        with pytest.raises(errors.HeddleError):
            names.run_or_epic(name)


@pytest.mark.parametrize(
    ("kind", "name", "form"),
    [
        (EpicName, "runs/r/epics/e/tasks/t", "runs/RUN/epics/EPIC"),
        (EpicName, "runs/r/epics", "runs/RUN/epics/EPIC"),
        (EpicName, "runs/r/tasks/t", "runs/RUN/epics/EPIC"),
        (TaskName, "runs/r/epics/e/tasks/a b", "runs/RUN/epics/EPIC/tasks/TASK"),
        (AttemptName, "runs/r/epics/e/tasks/t/attempts/0", "runs/RUN/epics/EPIC/tasks/TASK/attempts/N"),
        (WorktreeName, "runs/r/epics/e/tree", "runs/RUN/epics/EPIC/worktree"),
    ],
)
def test_a_malformed_name_is_told_its_form(kind: Any, name: str, form: str) -> None:
    """The violation is of the field `name`, quotes the value and shows the form."""
    with pytest.raises(errors.HeddleError) as caught:
        kind.parse(name)
    [violation] = caught.value.violations
    assert violation.field == "name"
    assert violation.description == f"{name!r} is not a valid name; use the form {form}"


def test_a_key_has_63_characters_at_most() -> None:
    """Attempts are numbered from 1 to 999,999,999, and keys are bounded at every level."""
    longest = "a" * 63
    assert EpicName.parse(f"runs/r/epics/{longest}").epic == longest
    assert TaskName.parse("runs/r/epics/-/tasks/-", wildcard=True) == TaskName("r", "-", "-")
    assert AttemptName.parse("runs/r/epics/e/tasks/t/attempts/999999999").number == 999_999_999
    for name in (f"runs/r/epics/{longest}a", "runs/r/epics/_a", "runs/r/epics/"):
        with pytest.raises(errors.HeddleError):
            EpicName.parse(name)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (TaskName, "runs/r/epics/e/tasks/-"),
        (TaskName, "runs/r/epics/-/tasks/t"),
        (AttemptName, "runs/r/epics/-/tasks/t/attempts/1"),
        (AttemptName, "runs/r/epics/e/tasks/t/attempts/-"),
        (WorktreeName, "runs/r/epics/-/worktree"),
    ],
)
def test_a_wildcard_must_be_asked_for(kind: Any, name: str) -> None:
    """Names of single resources have none."""
    with pytest.raises(errors.HeddleError):
        kind.parse(name)
