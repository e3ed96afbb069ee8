"""Benchmarks read their figures correctly and refuse to report work that was not done."""

import pytest

from heddle import pb
from tests.bench.scheduling import EPICS, TASKS, figures
from tests.bench.table import Table, percentile


def accepted(epic: str, seconds: float) -> pb.Event:
    event = pb.Event(epic=epic, task_accepted=pb.TaskAccepted())
    event.time.FromNanoseconds(int(seconds * 1e9))
    return event


def log_of_a_run(tasks: int = TASKS) -> list[pb.Event]:
    """Returns the log of a run that starts at second 100 and accepts a task of each epic every two seconds."""
    started = pb.Event(run_started=pb.RunStarted())
    started.time.FromSeconds(100)
    return [started] + [
        accepted(f"epic-{epic}", 100 + 2 * number) for number in range(1, tasks + 1) for epic in range(EPICS)
    ]


def test_figures_come_from_the_log() -> None:
    """The wall time ends with the last task, and each gap is between two tasks of one epic."""
    measured = figures(log_of_a_run())
    assert measured.wall == pytest.approx(2 * TASKS)
    assert measured.gaps == pytest.approx([2.0] * EPICS * TASKS)


def test_missing_work_is_no_figure() -> None:
    """A run that left out a task is not reported as fast."""
    with pytest.raises(RuntimeError, match="not every task"):
        figures(log_of_a_run(tasks=TASKS - 1))


def test_table_is_markdown() -> None:
    """The table is valid Markdown: its rule and its rows have the same number of cells."""
    lines = str(Table("Speed", "Seed 7.", ("what", "ms"), [("ours", "1.5"), ("theirs", "15.0")])).splitlines()
    assert lines[0] == "## Speed"
    rows = [line for line in lines if line.startswith("|")]
    assert [row.count("|") for row in rows] == [3] * 4
    assert rows[1].split("|")[2].strip().endswith(":")


def test_percentile() -> None:
    """The 95th percentile of 1..101 is 96."""
    assert percentile([float(number) for number in range(1, 102)], 95) == pytest.approx(96)
