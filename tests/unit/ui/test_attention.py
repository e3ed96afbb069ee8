"""Which items need a person's attention."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from heddle import operator_queue, pb
from ui_svc.views import attention
from ui_svc.views.attention import RunParts

NOW = 1_000_000
TASK = "runs/r/epics/e/tasks/t"


def failed_task(*, ended: int, state: "pb.AttemptState.ValueType" = pb.ATTEMPT_STATE_FAILED) -> pb.Task:
    attempt = pb.Attempt(name=f"{TASK}/attempts/2", state=state, end_time=Timestamp(seconds=ended))
    return pb.Task(
        name=TASK, title="Pay", state=pb.TASK_STATE_FAILED, reason="no key", latest_attempt=attempt
    )


def parts(task: pb.Task, state: "pb.RunState.ValueType" = pb.RUN_STATE_RUNNING) -> RunParts:
    epic = pb.Epic(name="runs/r/epics/e", title="Payments")
    return RunParts(pb.Run(name="runs/r", title="Shop", state=state), {epic.name: epic}, {task.name: task})


def test_a_failed_task_is_an_item_with_the_titles_of_its_place() -> None:
    """The key contains the attempt, so another failure of the task is another item."""
    (item,) = attention.failures(parts(failed_task(ended=NOW - 60)), NOW)
    assert item["key"] == f"{TASK}/attempts/2"
    assert (item["title"], item["epic_title"], item["run_title"]) == ("Pay", "Payments", "Shop")
    assert item["reason"] == "no key"


def test_what_failed_long_ago_or_was_stopped_by_hand_waits_for_nobody() -> None:
    """Failures older than a day and manual stops are not listed."""
    old = failed_task(ended=NOW - operator_queue.RECENT_HOURS * 3600 - 1)
    stopped = failed_task(ended=NOW - 60, state=pb.ATTEMPT_STATE_STOPPED)
    assert not list(attention.failures(parts(old), NOW))
    assert not list(attention.failures(parts(stopped), NOW))


def test_a_run_is_an_item_only_where_none_of_its_tasks_failed() -> None:
    """A failed run is an item only if, as in a conflict, no task failed."""
    done = pb.Task(name=TASK, state=pb.TASK_STATE_ACCEPTED)
    (item,) = attention.failures(parts(done, pb.RUN_STATE_FAILED), NOW)
    assert (item["kind"], item["key"]) == ("run", "runs/r")
    (item,) = attention.failures(parts(failed_task(ended=NOW - 60), pb.RUN_STATE_FAILED), NOW)
    assert item["kind"] == "task"


def test_a_cancelled_run_and_one_that_ended_long_ago_are_not_looked_through() -> None:
    """An active run is included, whatever its age."""
    failed = pb.TaskCounts(failed=1)
    ended = Timestamp(seconds=NOW - 60)
    assert attention.may_have_failures(pb.Run(tasks=failed), NOW)
    assert attention.may_have_failures(pb.Run(tasks=failed, state=pb.RUN_STATE_FAILED, end_time=ended), NOW)
    assert not attention.may_have_failures(pb.Run(tasks=failed, state=pb.RUN_STATE_CANCELLED), NOW)
    old = Timestamp(seconds=NOW - operator_queue.RECENT_HOURS * 3600 - 1)
    assert not attention.may_have_failures(pb.Run(tasks=failed, end_time=old), NOW)


def test_questions_come_before_failures_and_the_oldest_first() -> None:
    """If its run is unknown, a question is labelled with its keys."""
    asked = [
        pb.Approval(
            attempt=f"{TASK}/attempts/{number}", approval_id="q", request_time=Timestamp(seconds=time)
        )
        for number, time in ((1, 900), (2, 800))
    ]
    items = [
        *attention.failures(parts(failed_task(ended=NOW - 60)), NOW),
        *(attention.question(each, None) for each in asked),
    ]
    ordered = attention.oldest_first(items)
    assert [item["kind"] for item in ordered] == ["question", "question", "task"]
    assert [item["time"] for item in ordered[:2]] == [800_000, 900_000]
    assert ordered[0]["title"] == "t"


def test_a_budget_that_stopped_a_run_is_an_item_and_a_pause_by_hand_is_none() -> None:
    """The item names the used-up budget, so that it can be raised in the list."""
    run = pb.Run(name="runs/r", title="Shop", state=pb.RUN_STATE_PAUSED, reason="the budget is used up")
    assert operator_queue.is_halted(run)
    assert not operator_queue.is_halted(pb.Run(state=pb.RUN_STATE_PAUSED))
    reached = pb.BudgetReached(budget_usd_micros=5, spent_usd_micros=6, level=pb.BUDGET_LEVEL_EPIC)
    item = attention.halt(run, pb.Event(run="runs/r", epic="pay", sequence=7, budget_reached=reached))
    assert (item["kind"], item["of"], item["budget"], item["spent"]) == ("budget", "runs/r/epics/pay", 5, 6)
    of_project = pb.BudgetReached(budget_usd_micros=5, level=pb.BUDGET_LEVEL_PROJECT)
    assert attention.halt(run, pb.Event(run="runs/r", budget_reached=of_project))["of"] == ""


def test_a_provider_that_refuses_is_an_item() -> None:
    """The item says what to do and precedes completed failures."""
    run = pb.Run(name="runs/r", title="Shop", state=pb.RUN_STATE_PAUSED, reason="log in", held_by="anthropic")
    assert operator_queue.is_halted(run)
    item = attention.refusal(run)
    assert (item["kind"], item["provider"], item["reason"]) == ("provider", "anthropic", "log in")
    over = {"kind": "task", "waits": False, "time": 1, "key": "a"}
    assert attention.oldest_first([over, item]) == [item, over]


def test_a_conflict_is_an_item_and_says_where_the_work_is() -> None:
    """The run that failed because of the conflict is not a second item."""
    run = pb.Run(name="runs/r", title="Shop", state=pb.RUN_STATE_FAILED)
    epics = [
        pb.Epic(
            name="runs/r/epics/e", state=pb.EPIC_STATE_CONFLICTED, conflict_files=["a.py"], branch="heddle/e"
        ),
        pb.Epic(name="runs/r/epics/f", state=pb.EPIC_STATE_SUCCEEDED),
    ]
    (item,) = attention.conflicts(run, epics)
    assert (item["kind"], item["saved"], item["reason"]) == (
        "conflict",
        "heddle/e",
        "Its merge conflicts in a.py.",
    )
    assert not list(attention.failures(RunParts(run), NOW, told=True))


def test_what_stands_still_comes_first_and_the_oldest_of_it_before_the_others() -> None:
    """A waiting agent precedes a failure that is over."""
    items = [
        {"kind": "task", "waits": False, "time": 1, "key": "a"},
        {"kind": "budget", "waits": True, "time": 3, "key": "b"},
        {"kind": "question", "waits": True, "time": 2, "key": "c"},
    ]
    assert [each["key"] for each in attention.oldest_first(items)] == ["c", "b", "a"]


def test_an_epic_that_is_merged_by_hand_waits_for_its_operator() -> None:
    """The epic can be merged from the list and is not shown as a failure."""
    run = pb.Run(name="runs/r", title="Books", state=pb.RUN_STATE_RUNNING)
    epic = pb.Epic(name="runs/r/epics/api", key="api", state=pb.EPIC_STATE_AWAITING_MERGE)
    (item,) = attention.conflicts(run, [epic])
    assert (item["kind"], item["epic"], item["saved"]) == ("merge", "runs/r/epics/api", "")


def unchanged_task(key: str, ended: int, expected: "pb.Expect.ValueType" = pb.EXPECT_UNSPECIFIED) -> pb.Task:
    name = f"runs/r/epics/e/tasks/{key}"
    attempt = pb.Attempt(
        name=f"{name}/attempts/1", no_changes=True, end_time=Timestamp(seconds=ended), commit="abc"
    )
    return pb.Task(
        name=name, title=key, state=pb.TASK_STATE_ACCEPTED, latest_attempt=attempt, expect=expected
    )


def test_accepted_tasks_that_changed_nothing_are_one_item_of_their_run() -> None:
    """A newer task makes a new item; tasks with an expectation in the plan are excluded."""
    known = parts(unchanged_task("one", 10))
    (item,) = attention.unchanged(known)
    assert (item["kind"], item["title"], item["attempt"]) == (
        "unchanged",
        "one",
        "runs/r/epics/e/tasks/one/attempts/1",
    )
    for task in (unchanged_task("two", 20), unchanged_task("three", 5, pb.EXPECT_NOTHING)):
        known.tasks[task.name] = task
    (both,) = attention.unchanged(known)
    assert both["key"] != item["key"]
    assert both["title"] == "Shop"
    assert both["reason"].startswith("one, two. ")
    assert both["time"] == 20_000
    assert not list(attention.unchanged(parts(unchanged_task("one", 10, pb.EXPECT_ANY))))


@pytest.mark.parametrize(("count", "words"), [(5, "0, 1, 2, 3, 4. "), (6, "0, 1, 2, 3, 4 and 1 more. ")])
def test_of_many_unchanged_tasks_the_first_are_named(count: int, words: str) -> None:
    """Five tasks are named; of more, the rest is counted."""
    known = parts(unchanged_task("0", 10))
    for number in range(1, count):
        task = unchanged_task(str(number), 10)
        known.tasks[task.name] = task
    (item,) = attention.unchanged(known)
    assert item["reason"].startswith(words)


def test_runs_are_looked_through_for_unchanged_tasks_only_while_they_are_recent() -> None:
    """The run counts these tasks, so no other run is read."""
    counts = pb.TaskCounts(accepted=2, unchanged=1)
    assert attention.may_have_unchanged(pb.Run(tasks=counts), NOW)
    assert not attention.may_have_unchanged(pb.Run(tasks=pb.TaskCounts(accepted=2)), NOW)
    old = Timestamp(seconds=NOW - operator_queue.RECENT_HOURS * 3600 - 1)
    assert not attention.may_have_unchanged(pb.Run(tasks=counts, end_time=old), NOW)


def test_what_a_run_lacks_is_an_item() -> None:
    """A run that waits for its environment precedes failures; refused branches are one named item."""
    waits = pb.Run(name="runs/w", title="Waits", state=pb.RUN_STATE_RUNNING, fault="/repo is not there")
    unpushed = [pb.UnpushedBranch(branch=branch, error="no such names") for branch in ("heddle/r/a", "main")]
    refused = pb.Run(
        name="runs/r",
        title="Refused",
        state=pb.RUN_STATE_FAILED,
        project="file:///o.git",
        unpushed=unpushed,
        end_time=Timestamp(seconds=NOW - 60),
    )
    assert all(operator_queue.lacks_something(each, NOW) for each in (waits, refused))
    first, second = attention.oldest_first([attention.lack(refused), attention.lack(waits)])
    assert (first["kind"], first["reason"]) == ("environment", "/repo is not there")
    told = "file:///o.git rejected the push of heddle/r/a, main: no such names"
    assert (second["kind"], second["reason"]) == ("push", told)
    # Old failures, and runs that their operator ended, are not listed.
    refused.end_time.seconds = NOW - operator_queue.RECENT_HOURS * 3600 - 1
    waits.state = pb.RUN_STATE_CANCELLING
    assert not any(operator_queue.lacks_something(each, NOW) for each in (waits, refused, pb.Run()))


def test_a_merge_that_waits_for_a_branch_is_an_item() -> None:
    """An epic or run whose merge waits for a branch in use names it, before the failures."""
    epic = pb.Epic(name="runs/r/epics/e", state=pb.EPIC_STATE_MERGING, merge_hold="main is checked out")
    (item,) = attention.conflicts(pb.Run(name="runs/r"), [epic])
    assert (item["kind"], item["reason"], item["saved"]) == ("held", "main is checked out", "")
    run = attention.held(pb.Run(name="runs/r", title="Shop", merge_hold="main is gone"))
    assert (run["kind"], run["reason"], run["title"]) == ("held", "main is gone", "Shop")
    over = {"kind": "task", "waits": False, "time": 1, "key": "a"}
    assert attention.oldest_first([over, run | {"time": 2}])[0]["kind"] == "held"
    assert not list(
        attention.conflicts(
            pb.Run(name="runs/r"), [pb.Epic(name="runs/r/epics/e", state=pb.EPIC_STATE_MERGING)]
        )
    )


def test_an_item_says_whether_it_waits() -> None:
    """What blocks work waits: also for an environment, and a merge on hold. Failures do not."""
    run = pb.Run(name="runs/r", title="Shop", reason="used up", merge_hold="main is checked out")
    faulty = pb.Run(name="runs/r", fault="/repo is not there")
    unpushed = pb.Run(name="runs/r", unpushed=[pb.UnpushedBranch(branch="main", error="refused")])
    epics = [
        pb.Epic(name="runs/r/epics/a", state=pb.EPIC_STATE_MERGING, merge_hold="main is checked out"),
        pb.Epic(name="runs/r/epics/b", state=pb.EPIC_STATE_CONFLICTED),
    ]
    items = [
        attention.question(pb.Approval(attempt=f"{TASK}/attempts/1", approval_id="q"), None),
        attention.halt(run, None),
        attention.refusal(run),
        attention.held(run),
        attention.lack(faulty),
        attention.lack(unpushed),
        *attention.conflicts(run, epics),
        *attention.failures(parts(failed_task(ended=NOW - 60)), NOW),
        *attention.failures(RunParts(pb.Run(name="runs/r", state=pb.RUN_STATE_FAILED)), NOW),
        *attention.unchanged(parts(unchanged_task("one", 10))),
    ]
    assert [(item["kind"], item["waits"]) for item in items] == [
        ("question", True),
        ("budget", True),
        ("provider", True),
        ("held", True),
        ("environment", True),
        ("push", False),
        ("held", True),
        ("conflict", False),
        ("task", False),
        ("run", False),
        ("unchanged", False),
    ]


def test_an_epic_over_its_budget_waits_while_its_run_continues() -> None:
    """It says whose budget to raise, and from what; a run that is paused for it has an item of its own."""
    hold = pb.BudgetHold(
        name="runs/r/epics/pay", budget_usd_micros=5, spent_usd_micros=6, reason="the budget is used up"
    )
    epic = pb.Epic(name="runs/r/epics/pay", key="pay", state=pb.EPIC_STATE_RUNNING, budget_hold=hold)
    running = pb.Run(name="runs/r", title="Shop", state=pb.RUN_STATE_RUNNING)
    [item] = attention.conflicts(running, [epic])
    assert (item["kind"], item["waits"], item["of"]) == ("budget", True, "runs/r/epics/pay")
    assert (item["budget"], item["spent"], item["reason"]) == (5, 6, "the budget is used up")
    paused = pb.Run(name="runs/r", state=pb.RUN_STATE_PAUSED, reason="the budget is used up")
    assert list(attention.conflicts(paused, [epic])) == []


def test_a_planned_merge_waits_and_a_conflict_does_not() -> None:
    """A merge that the plan leaves to the operator blocks work, so it comes first and cannot be dismissed."""
    run = pb.Run(name="runs/r", state=pb.RUN_STATE_RUNNING)
    epics = [
        pb.Epic(name="runs/r/epics/a", key="a", state=pb.EPIC_STATE_AWAITING_MERGE),
        pb.Epic(name="runs/r/epics/b", key="b", state=pb.EPIC_STATE_CONFLICTED, conflict_files=["x"]),
    ]
    items = list(attention.conflicts(run, epics))
    assert [(item["kind"], item["waits"]) for item in items] == [("merge", True), ("conflict", False)]
