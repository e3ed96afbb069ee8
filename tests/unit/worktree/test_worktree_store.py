"""Which attempt may use a worktree, and how that is stored."""

from pathlib import Path

import pytest

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import AttemptName, EpicName
from worktree_svc.storage.worktree_store import WorktreeState, WorktreeStore

EPIC = EpicName("r1", "api")
STATE = WorktreeState(EPIC, Path("/project"), start="a" * 40, head="b" * 40)


def attempt(task: str, number: int) -> AttemptName:
    return EPIC.task(task).attempt(number)


def claimed(*attempts: AttemptName) -> WorktreeState:
    state = STATE
    for each in attempts:
        state = state.claimed_by(each)
    return state


def test_the_same_attempt_may_ask_again() -> None:
    """A repeated claim changes nothing."""
    assert claimed(attempt("one", 1), attempt("one", 1)) == claimed(attempt("one", 1))


@pytest.mark.parametrize(
    "late", [attempt("one", 1), attempt("one", 2), attempt("two", 1)], ids=["older", "same", "other-task"]
)
def test_whoever_lost_the_worktree_stays_out(late: AttemptName) -> None:
    """An attempt cannot claim a worktree that another one has claimed since."""
    state = claimed(attempt("one", 2), attempt("two", 1), attempt("two", 2))
    with pytest.raises(HeddleError) as raised:
        state.claimed_by(late)
    assert raised.value.reason == pb.ERROR_REASON_STALE_ATTEMPT
    assert raised.value.metadata["attempt"] == str(attempt("two", 2))


def test_a_new_attempt_of_an_earlier_task_may_come() -> None:
    """A task that is retried later gets the worktree back with a higher attempt number."""
    assert claimed(attempt("one", 1), attempt("two", 1), attempt("one", 2)).claim == attempt("one", 2)


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Every field is stored and read again, and no other file remains."""
    store = WorktreeStore(tmp_path)
    paths = store.paths(EPIC)
    state = claimed(attempt("one", 1))
    assert store.load(paths) is None
    assert store.load(store.paths(EPIC)) is None
    store.save(paths, state)
    assert store.load(paths) == state
    assert [path.name for path in paths.state.parent.iterdir()] == ["api.json"]


def test_a_broken_state_file_does_not_hide_the_others(tmp_path: Path) -> None:
    """Listing skips a file that cannot be read."""
    store = WorktreeStore(tmp_path)
    store.save(store.paths(EPIC), STATE)
    broken = store.paths(EpicName("r1", "aaa")).state
    broken.write_text("{")
    assert [state for _, state in store.all()] == [STATE]
