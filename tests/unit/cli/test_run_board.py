import pytest
from rich.console import Console

from heddle import pb
from heddle.cli.console.run_board import RunBoard, result_lines

EPIC = "runs/shop-1/epics/api"
RETRY = "`heddle retry shop-1/EPIC/TASK` tries a failed task again"


def response() -> pb.WatchRunResponse:
    return pb.WatchRunResponse(
        run=pb.Run(name="runs/shop-1"),
        epics=[
            pb.Epic(name="runs/shop-1/epics/ui", key="ui", index=1, state=pb.EPIC_STATE_BLOCKED),
            pb.Epic(
                name=EPIC,
                key="api",
                title="API [bold]",
                state=pb.EPIC_STATE_RUNNING,
                tasks=pb.TaskCounts(total=3, accepted=1),
                usage=pb.UsageTotals(cost_usd_micros=250_000),
            ),
        ],
        tasks=[
            pb.Task(name=f"{EPIC}/tasks/b", title="Second", position=2, state=pb.TASK_STATE_RUNNING),
            pb.Task(name=f"{EPIC}/tasks/a", title="First", position=1, state=pb.TASK_STATE_ACCEPTED),
        ],
    )


def drawn(board: RunBoard) -> str:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115 (ends with the test)
    console.print(board)
    console.file.close()
    return console.export_text()


def test_board_shows_the_task_that_runs() -> None:
    """An epic's line names its position, its task and the session's current activity."""
    board = RunBoard()
    board.take(response())
    name = f"{EPIC}/tasks/b/attempts/1"
    board.take(
        pb.WatchRunResponse(
            tasks=[
                pb.Task(
                    name=f"{EPIC}/tasks/b",
                    title="Second",
                    position=2,
                    state=pb.TASK_STATE_RUNNING,
                    latest_attempt=pb.Attempt(name=name),
                )
            ],
            summaries=[
                pb.SessionSummary(attempt=name, current_tool=pb.ToolStarted(name="Edit", target="a.py"))
            ],
        )
    )
    text = drawn(board)
    assert "API [bold]" in text
    assert "1/3" in text
    assert "2/3 Second · Edit a.py" in text
    assert "$0.25" in text


def test_board_says_where_epics_continue_and_what_they_wait_for() -> None:
    """An epic that moved says so until it ends, one without a place says what is missing, and so does the run."""
    board = RunBoard()
    board.take(response())
    moved, waiting = response().epics[1], response().epics[0]
    move = pb.EpicMove(to_worker="worker-3", reason="worker-1 was lost (no retry used)")
    moved.last_move.CopyFrom(move)
    waiting.waits_for = "waiting for a place: no worker offers the labels gpu=true"
    run = pb.Run(name="runs/shop-1", waits_for="waiting for a place: 0/4 workers have a free slot")
    board.take(pb.WatchRunResponse(run=run, epics=[moved, waiting]))
    lines = [" ".join(line.split()) for line in drawn(board).splitlines()]
    assert lines[1] == "moved to worker-3 after worker-1 was lost (no retry used)"
    assert lines[2].endswith("blocked · waiting for a place: no worker offers the labels gpu=true")
    assert lines[3] == "waiting for a place: 0/4 workers have a free slot"
    moved.end_time.GetCurrentTime()
    board.take(pb.WatchRunResponse(epics=[moved], run=pb.Run(name="runs/shop-1")))
    assert "worker-3" not in drawn(board)


def test_board_keeps_the_order_of_the_plan() -> None:
    """Epics are listed in the order of the plan, whatever the order of updates."""
    board = RunBoard()
    board.take(response())
    assert [epic.key for epic in board.epics] == ["api", "ui"]
    assert [task.title for task in board.tasks(board.epics[0])] == ["First", "Second"]


def test_result_says_what_is_left_to_do() -> None:
    """The last lines name the result branch and each epic that did not succeed."""
    run = pb.Run(
        name="runs/shop-1",
        state=pb.RUN_STATE_FAILED,
        reason="2 epics did not succeed",
        branch="heddle/shop-1/merged",
        project="/repo",
        tasks=pb.TaskCounts(total=3, accepted=1, failed=2),
    )
    epics = [
        pb.Epic(
            key="api",
            state=pb.EPIC_STATE_CONFLICTED,
            conflict_files=["a.py"],
            branch="heddle/shop-1/epics/api",
        ),
        pb.Epic(key="ui", state=pb.EPIC_STATE_FAILED, reason="2 tasks failed"),
    ]
    assert list(result_lines(run, epics)) == [
        "shop-1 failed: 2 epics did not succeed (1/3 tasks accepted, 2 failed)",
        "  api: conflicts in a.py; its work is on heddle/shop-1/epics/api",
        "  ui: failed: 2 tasks failed",
        f"{RETRY}, `heddle plan rest shop-1` lets an agent plan the rest again",
        "The result is on branch heddle/shop-1/merged of /repo",
    ]


@pytest.mark.parametrize(
    ("state", "revises", "step"),
    [
        (
            pb.RUN_STATE_SUCCEEDED,
            "",
            "`heddle show d --plan` prints its plan, which `heddle run FILE` starts",
        ),
        (
            pb.RUN_STATE_SUCCEEDED,
            "runs/shop-1",
            "`heddle apply --draft d` shows its change of shop-1 and applies it",
        ),
        (
            pb.RUN_STATE_FAILED,
            "",
            "`heddle show d --plan` prints its last text, `heddle retry d/draft/plan` lets it try again",
        ),
    ],
)
def test_the_result_of_a_draft_is_a_plan(state: "pb.RunState.ValueType", revises: str, step: str) -> None:
    """A draft has no result branch: its last line says how to read or apply its plan."""
    accepted = int(state == pb.RUN_STATE_SUCCEEDED)
    counts = pb.TaskCounts(total=1, accepted=accepted, failed=1 - accepted)
    run = pb.Run(name="runs/d", state=state, draft=True, revises=revises, branch="b", tasks=counts)
    assert list(result_lines(run, []))[1:] == [step]


def test_a_result_that_was_not_pushed_is_not_said_to_be_at_the_remote() -> None:
    """The last line names the worker's clone and the command that repeats the push."""
    run = pb.Run(
        name="runs/shop-1",
        state=pb.RUN_STATE_FAILED,
        branch="heddle/shop-1/merged",
        project="file:///o.git",
        tasks=pb.TaskCounts(total=1, accepted=1),
        unpushed=[pb.UnpushedBranch(branch="heddle/shop-1/merged", error="no")],
    )
    *_, refused, result = result_lines(run, [])
    assert refused == "  file:///o.git rejected the push of heddle/shop-1/merged: no"
    assert "the worker's clone" in result
    assert "`heddle push shop-1`" in result
