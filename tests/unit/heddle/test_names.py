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
