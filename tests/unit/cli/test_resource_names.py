import pytest

from heddle.cli.console import resource_names
from heddle.cli.console.exit_codes import BAD_INPUT
from heddle.cli.console.failure import Failure

TASK = "runs/shop-1/epics/api/tasks/model"


@pytest.mark.parametrize("text", ["shop-1", "runs/shop-1"])
def test_run_is_named_with_or_without_its_collection(text: str) -> None:
    """RUN and runs/RUN name the same run."""
    assert resource_names.run_name(text) == "runs/shop-1"


@pytest.mark.parametrize("text", ["", "runs/", "a/b", "-x", "runs/a/epics/b", "a b", "runs/runs/a"])
def test_what_names_no_run_is_bad_input(text: str) -> None:
    """A malformed run is rejected before any call, with the correct form."""
    with pytest.raises(Failure, match="is not a valid run; use RUN") as caught:
        resource_names.run_name(text)
    assert caught.value.exit_code == BAD_INPUT


@pytest.mark.parametrize(
    "text",
    [
        TASK,
        TASK.removeprefix("runs/"),
        "shop-1/api/model",
        "runs/shop-1/api/model",
        "shop-1/api/model/3",
        f"{TASK}/attempts/3",
    ],
)
def test_task_has_a_short_form(text: str) -> None:
    """RUN/EPIC/TASK, the full name and the name of an attempt all identify the task."""
    assert str(resource_names.task_name(text)) == TASK


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("shop-1/api/model/3", 3),
        (f"{TASK}/attempts/12", 12),
        (f"{TASK}/attempts/12".removeprefix("runs/"), 12),
        ("shop-1/api/model", None),
        (TASK, None),
    ],
)
def test_attempt_number_may_be_left_out(text: str, number: int | None) -> None:
    """The last part is the attempt's number; without it the caller uses the newest attempt."""
    assert resource_names.attempt_number(text) == number


@pytest.mark.parametrize(
    "text", ["", "a", "a/b", "a/b/c/d/e", f"{TASK}/attempts", f"{TASK}/tries/1", "a/epics/b/jobs/c", "a//c"]
)
def test_what_names_no_task_is_bad_input(text: str) -> None:
    """A malformed task is rejected before any call, with the correct form."""
    with pytest.raises(Failure, match="is not a valid task; use RUN/EPIC/TASK") as caught:
        resource_names.task_name(text)
    assert caught.value.exit_code == BAD_INPUT


@pytest.mark.parametrize("text", ["a/b/c/0", "a/b/c/x", "a/b/c/-1", "a/b", ""])
def test_what_names_no_attempt_is_bad_input(text: str) -> None:
    """An attempt's number must be an integer of at least 1."""
    with pytest.raises(Failure, match=r"is not a valid (attempt|task)"):
        resource_names.attempt_number(text)
