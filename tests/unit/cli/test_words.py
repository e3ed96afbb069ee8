from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from heddle import pb
from heddle.cli.console import words

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def stamp(time: datetime) -> Timestamp:
    written = Timestamp()
    written.FromDatetime(time)
    return written


@pytest.mark.parametrize(
    ("resource", "word"),
    [
        (pb.Run(state=pb.RUN_STATE_SUCCEEDED), "succeeded"),
        (pb.Epic(state=pb.EPIC_STATE_CONFLICTED), "conflicted"),
        (pb.Task(), "unspecified"),
        (pb.Attempt(state=pb.ATTEMPT_STATE_LOST), "lost"),
    ],
)
def test_state_is_one_word(resource: pb.Run | pb.Epic | pb.Task | pb.Attempt, word: str) -> None:
    """States are shown without the prefix of their enum."""
    assert words.state(resource) == word


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (0.26, "0.3s"),
        (9.96, "10s"),
        (59.6, "1m 00s"),
        (302, "5m 02s"),
        (3 * 3600 + 421, "3h 07m"),
        (13 * 86400 + 4 * 3600, "13d 04h"),
    ],
)
def test_span(seconds: float, text: str) -> None:
    """A longer duration is shown with less precision."""
    assert words.span(seconds) == text
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=seconds))
    assert words.span(duration) == text


@pytest.mark.parametrize(
    ("usage", "text"),
    [
        (pb.UsageTotals(), ""),
        (pb.UsageTotals(cost_usd_micros=1_234_567), "$1.23"),
        (pb.UsageTotals(cost_usd_micros=10_000, cost_incomplete=True), "≥ $0.01"),
        (pb.UsageTotals(output_tokens=5, cost_incomplete=True), "unknown"),
        (pb.UsageTotals(cost_usd_micros=20_000, estimated_usd_micros=5_000), "~$0.02"),
        (pb.UsageTotals(cost_usd_micros=20_000, estimated_usd_micros=1, cost_incomplete=True), "≥ ~$0.02"),
        (pb.UsageTotals(cost_usd_micros=150), "$0.0001"),
    ],
)
def test_cost_says_what_is_known(usage: pb.UsageTotals, text: str) -> None:
    """An unknown price is shown as unknown, not as zero, and an estimate as an estimate."""
    assert words.cost(usage) == text


def test_elapsed_counts_until_now_while_it_runs() -> None:
    """Without an end, time is counted up to now; without a start, there is no duration."""
    start, end = stamp(NOON), stamp(NOON + timedelta(seconds=30))
    assert words.elapsed(start, end, NOON + timedelta(hours=5)) == "30s"
    assert words.elapsed(start, Timestamp(), NOON + timedelta(seconds=61)) == "1m 01s"
    assert words.elapsed(Timestamp(), Timestamp(), NOON) == ""


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (2_500_000_000_000, "2500.0 GB"),
    ],
)
def test_size(number: int, text: str) -> None:
    """Sizes are shown in a readable unit."""
    assert words.size(number) == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]52;c;c2VjcmV0\x07clipboard", "clipboard"),
        ("\x1b]0;title\x1b\\window", "window"),
        ("\x1bcreset\x9b2J", "creset2J"),
        ("tab\tand\nline ümlaut 界", "tab\tand\nline ümlaut 界"),
        ("over\rwritten\x08", "overwritten"),
        ("user\u202e\u2066 // admin\u2069", "user\\u202e\\u2066 // admin\\u2069"),
    ],
)
def test_plain_text_commands_no_terminal(text: str, kept: str) -> None:
    """Output of an agent cannot move the cursor, set a title or write to the clipboard."""
    assert words.plain(text) == kept


@pytest.mark.parametrize(("commits", "text"), [(1, "1 commit"), (12, "12 commits")])
def test_a_base_that_is_behind_is_a_sentence(commits: int, text: str) -> None:
    """It names both branches without control characters and says how old the information may be."""
    found = pb.BaseBehind(branch="main\x1b[31m", upstream="origin/main", commits=commits)
    assert words.behind(found) == f"main is {text} behind origin/main, as last fetched"
