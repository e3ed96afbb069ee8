"""Limits of the scheduler at their value and one beyond, and conversions where the units differ."""

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from heddle import pb
from heddle.config import Settings
from heddle.errors import HeddleError
from heddle.names import AttemptName, EpicName
from scheduler_svc.commands.merges.resolve_tasks import prompt as resolution_prompt
from scheduler_svc.commands.runs.add_task import title_of
from scheduler_svc.leader.merges.forecast_changes import EpicInPlay, forecast
from scheduler_svc.model import schedule_times
from scheduler_svc.model.prompts.merge_prompt import merge_prompt
from scheduler_svc.model.prompts.retry_prompt import prompt_after
from scheduler_svc.model.run_ids import run_id, slug
from scheduler_svc.model.sessions.activity import counted
from scheduler_svc.model.sessions.session_summary import fold, is_overdue
from scheduler_svc.policy.budgets import dollars
from scheduler_svc.policy.pauses import MAX_PROBES, hold_seconds, retry_seconds
from scheduler_svc.store.db.times import micros, optional_timestamp, timestamp
from scheduler_svc.store.queries.page_tokens import page_size
from scheduler_svc.store.rows.retention.run_retention import Retention

DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("asked", "size"), [(0, 50), (1, 1), (499, 499), (500, 500), (501, 500), (2**31 - 1, 500)]
)
def test_sizes_of_pages(asked: int, size: int) -> None:
    """A page has the number of entries that is asked for, up to the most; none asked for is the default."""
    assert page_size(asked, 50, 500) == size


def test_a_negative_page_is_refused() -> None:
    """A negative number of entries is an error."""
    with pytest.raises(HeddleError) as caught:
        page_size(-1, 50, 500)
    assert caught.value.reason == pb.ERROR_REASON_INVALID_FIELD


def test_times_are_microseconds() -> None:
    """A time of any zone becomes whole microseconds, and a message with seconds and nanoseconds."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=timezone(timedelta(hours=2)))
    at = micros(moment)
    assert at == 1_767_315_845_678_901
    assert timestamp(at) == Timestamp(seconds=1_767_315_845, nanos=678_901_000)
    assert timestamp(at).ToDatetime(UTC) == moment
    assert timestamp(-1) == Timestamp(seconds=-1, nanos=999_999_000)
    assert optional_timestamp(None) is None
    assert optional_timestamp(0) == Timestamp()


def test_retention_is_in_days() -> None:
    """Settings are days and parts of days; longer than a hundred years is a hundred years."""
    for days, kept in (("1", DAY), ("0.5", DAY // 2), ("36500", 36_500 * DAY), ("36501", 36_500 * DAY)):
        settings = Settings.read(
            {"HEDDLE_KEEP_WORKTREES": days, "HEDDLE_KEEP_LOGS": "2", "HEDDLE_KEEP_AUDIT": "3"}
        )
        retention = Retention.of(settings)
        assert (retention.worktrees, retention.logs, retention.audit) == (kept, 2 * DAY, 3 * DAY)
    failed = SimpleNamespace(state=pb.EPIC_STATE_FAILED, restored_at=None, ended_at=7)
    assert Retention(worktrees=5, logs=9, audit=9).remove_at(failed) == 12
    assert (
        Retention(worktrees=5, logs=9, audit=9).remove_at(
            SimpleNamespace(**{**vars(failed), "restored_at": 8})
        )
        == 13
    )
    merged = SimpleNamespace(**{**vars(failed), "state": pb.EPIC_STATE_SUCCEEDED})
    assert Retention(worktrees=5, logs=9, audit=9).remove_at(merged) == 7


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"),
        (1, "$0.000001"),
        (10_000, "$0.01"),
        (99_999, "$0.099999"),
        (100_000, "$0.10"),
        (1_000_000, "$1.00"),
        (12_345_678, "$12.345678"),
        (1_000_000_000_000_000, "$1000000000.00"),
    ],
)
def test_micros_are_shown_as_dollars(amount: int, text: str) -> None:
    """A millionth of a dollar is shown as such; whole cents have two digits."""
    assert dollars(amount) == text


@pytest.mark.parametrize(("letters", "kept"), [(40, 40), (41, 40)])
def test_length_of_a_slug(letters: int, kept: int) -> None:
    """A run's id has at most 40 characters of its plan's name, and no dash at their end."""
    assert slug("x" * letters) == "x" * kept
    assert slug("x" * 39 + "-y") == "x" * 39
    assert run_id("ß" * letters, "abcde") == "run-abcde"


def test_probes_and_pauses_at_their_limits() -> None:
    """An outage needs the operator from its seventh session on, and a pause stops growing at its maximum."""
    unavailable = pb.OUTCOME_PROVIDER_UNAVAILABLE
    assert MAX_PROBES == 7
    assert hold_seconds(unavailable, 6, None) == 320
    assert hold_seconds(unavailable, 7, None) is None
    longest = 8 * 24 * 3600.0
    assert [hold_seconds(pb.OUTCOME_RATE_LIMITED, 1, wish) for wish in (longest, longest + 1)] == [
        longest
    ] * 2
    assert [retry_seconds(quick) for quick in (6, 7, 8)] == [32, 60, 60]


def output(text: str) -> pb.Event:
    return pb.Event(sequence=1, output=pb.Output(text=text, stream=pb.OUTPUT_STREAM_STDOUT))


def summary_of(*events: pb.Event) -> pb.SessionSummary:
    attempt = pb.Attempt()
    for number, event in enumerate(events, 1):
        event.sequence = number
        attempt = fold(attempt, [event])
    return attempt.summary


@pytest.mark.parametrize(("lines", "kept"), [(5, 5), (6, 5)])
def test_lines_of_a_card(lines: int, kept: int) -> None:
    """A card shows the last five lines of an agent's output."""
    said = [f"line {number}" for number in range(lines)]
    shown = [line for line in summary_of(output("\n".join(said) + "\n")).last_lines if line]
    assert shown == said[-kept:]


@pytest.mark.parametrize(("length", "kept"), [(200, 200), (201, 200)])
def test_length_of_a_line_of_a_card(length: int, kept: int) -> None:
    """A line of a card has at most 200 characters, whether it comes at once or in pieces."""
    assert list(summary_of(output("ä" * length)).last_lines) == ["ä" * kept]
    assert list(summary_of(output("a" * 100), output("b" * (length - 100))).last_lines) == [
        "a" * 100 + "b" * (kept - 100)
    ]


@pytest.mark.parametrize(("length", "kept"), [(200, 200), (201, 200)])
def test_length_of_a_tools_input(length: int, kept: int) -> None:
    """A card shows at most 200 characters of the input of the tool that runs."""
    event = pb.Event(
        sequence=1, tool_started=pb.ToolStarted(tool_call_id="1", name="Bash", input="ä" * length)
    )
    assert summary_of(event).current_tool.input == "ä" * kept


@pytest.mark.parametrize(("now", "overdue"), [(1_999_999, False), (2_000_000, True), (2_000_001, True)])
def test_a_question_is_overdue_from_its_time_on(now: int, overdue: bool) -> None:
    """Microseconds are compared with the time of a message."""
    approval = pb.Approval(deny_time=Timestamp(seconds=2))
    assert is_overdue(approval, now) == overdue
    assert not is_overdue(pb.Approval(), now)


def test_spans_of_activity() -> None:
    """Five seconds are one span, and 36 spans are kept."""
    assert counted([], 0, [100, 104]) == [2]
    assert counted([], 0, [104, 105]) == [1, 1]
    assert len(counted([1], 100, [100 + 5 * 35])) == 36
    assert counted([1], 100, [100 + 5 * 35])[0] == 1
    assert counted([1], 100, [100 + 5 * 36]) == [0] * 35 + [1]


def added(attempt: pb.Attempt) -> str:
    return prompt_after("Go", attempt).removeprefix("Go")


@pytest.mark.parametrize(("length", "kept"), [(1200, 1200), (1201, 1200)])
def test_length_of_a_reason_in_a_prompt(length: int, kept: int) -> None:
    """A reason of 1200 bytes is quoted whole; a longer one is cut."""
    attempt = pb.Attempt(name="runs/r/epics/e/tasks/t/attempts/1", reason="x" * length)
    assert f"failed: {'x' * kept}.\n" in added(attempt)


@pytest.mark.parametrize(("length", "kept"), [(200, 200), (201, 200)])
def test_length_of_a_check_in_a_prompt(length: int, kept: int) -> None:
    """The name and the command of a check have at most 200 bytes each."""
    check = pb.CheckFinished(name="n" * length, command="c" * length, exit_code=1, output="no\n")
    attempt = pb.Attempt(name="runs/r/epics/e/tasks/t/attempts/1", checks=[check])
    assert f"\n{'n' * kept} (`{'c' * kept}`), exit code 1:\n" in added(attempt)


@pytest.mark.parametrize("letter", ["x", "ä"])
def test_size_of_the_text_added_to_a_prompt(letter: str) -> None:
    """The text has at most 4 KiB, counted in bytes, and uses them."""
    check = pb.CheckFinished(name="n", command="c", exit_code=1, output=letter * 5000)
    attempt = pb.Attempt(name="runs/r/epics/e/tasks/t/attempts/1", checks=[check])
    size = len(added(attempt).encode())
    assert (4 << 10) - 2 < size <= 4 << 10


@pytest.mark.parametrize(("count", "rest"), [(100, []), (101, ["- and 1 more"])])
def test_files_of_a_prompt_about_a_conflict(count: int, rest: list[str]) -> None:
    """An agent is told the names of a hundred files at most, and how many more there are."""
    files = [f"f{number}" for number in range(count)]
    ensured = pb.EnsureWorktreeResponse(conflict_files=files, conflict_commit="c")
    lists = [
        merge_prompt(ensured, "Go").splitlines(),
        [line.partition(";")[0] for line in resolution_prompt(pb.MergeConflicted(files=files))],
    ]
    for lines in lists:
        assert [line for line in lines if line.startswith("- ")] == [*(f"- f{n}" for n in range(100)), *rest]
    assert merge_prompt(pb.EnsureWorktreeResponse(), "Go") == "Go"


@pytest.mark.parametrize("before", ["", "x"])
def test_output_of_a_check_in_a_prompt(before: str) -> None:
    """Of what a failed check printed, an agent reads the last 4 Ki characters."""
    end = "ä" * 4095 + "!"
    failed = pb.FailedCheck(command="make", output=before + end)
    assert f"    {end}" in resolution_prompt(pb.MergeConflicted(failed_checks=[failed]))


@pytest.mark.parametrize(("count", "named"), [(100, 100), (101, 100)])
def test_paths_outside_of_an_epics_globs(count: int, named: int) -> None:
    """An event names a hundred paths at most, and has the number of all."""
    name = EpicName("r", "a")
    epics = {name.branch: EpicInPlay(name, "", merged=False, touches=("src/**",))}
    paths = [f"f{number:03}" for number in range(count)]
    changes = pb.PredictConflictsResponse(changes=[pb.ChangedPaths(branch=name.branch, paths=paths)])
    _, events = forecast(epics, changes, pb.ConflictForecast(), AttemptName("r", "a", "one", 1), 7)
    [wrote] = [event.wrote_outside for event in events if event.HasField("wrote_outside")]
    assert (list(wrote.paths), wrote.path_count) == (paths[:named], count)


@pytest.mark.parametrize(("beyond", "valid"), [(0, True), (1, False)])
def test_length_of_the_times_of_a_schedule(beyond: int, valid: bool) -> None:
    """The five fields have at most 200 characters."""
    fields = " * * * *"
    cron = ",".join(["1"] * 96) + " " * (1 + beyond) + fields
    assert len(cron) == 200 + beyond
    if valid:
        schedule_times.check(cron, "UTC")
    else:
        with pytest.raises(HeddleError) as caught:
            schedule_times.check(cron, "UTC")
        assert caught.value.reason == pb.ERROR_REASON_INVALID_FIELD


@pytest.mark.parametrize("zone", ["", "x" * 200, "x" * 201, "../UTC"])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    """A name of any length that is no time zone is an error that names it."""
    with pytest.raises(HeddleError, match="not a time zone"):
        schedule_times.check("0 3 * * *", zone)


@pytest.mark.parametrize(
    ("prompt", "title"),
    [
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "…"),
        ("\n  # Fix ä" + "ä" * 75 + "\nmore", "Fix ä" + "ä" * 75),
        ("\n", ""),
    ],
)
def test_length_of_a_title_from_a_prompt(prompt: str, title: str) -> None:
    """A task without a title gets the first line of its prompt, cut to 80 characters."""
    assert title_of(prompt) == title
