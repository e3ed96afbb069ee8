"""Limits of errors at their value and one beyond, and conversions of what clients show."""

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2

from heddle import errors, pb
from heddle.cli.console import words
from heddle.plan.file import parse
from heddle.plan.values import durations
from heddle.prices import Prices
from ui_svc.views import values


def sent(*violations: errors.Violation) -> list[str]:
    """Returns the fields of the violations that a client receives."""
    bad_request = error_details_pb2.BadRequest()
    status = errors.to_status(errors.invalid_plan(violations))
    assert any(detail.Unpack(bad_request) for detail in status.details)
    return [each.field for each in bad_request.field_violations]


@pytest.mark.parametrize(("beyond", "fields"), [(0, ["a", "b"]), (1, ["a", ""])])
def test_violations_that_fit_a_status(beyond: int, fields: list[str]) -> None:
    """Violations of 1500 bytes together are sent; of more, the last one says that there are others."""
    first = errors.Violation("a", "x" * 999)
    assert sent(first, errors.Violation("b", "y" * (499 + beyond))) == fields


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("x" * 1200, "x" * 1200),
        ("x" * 1201, "x" * 1200 + " …"),
        ("ä" * 600, "ä" * 600),
        ("x" + "ä" * 600, "x" + "ä" * 599 + " …"),
    ],
)
def test_length_of_a_message(text: str, kept: str) -> None:
    """A message of 1200 bytes is sent whole; a longer one is cut, and never within a character."""
    assert errors.to_status(errors.HeddleError(pb.ERROR_REASON_INTERNAL, text)).message == kept


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, ""),
        (1, "1"),
        (999, "999"),
        (1000, "1.0k"),
        (12_345, "12.3k"),
        (999_949, "999.9k"),
        (999_950, "1.0M"),
        (4_500_000, "4.5M"),
    ],
)
def test_numbers_of_tokens(number: int, text: str) -> None:
    """From a thousand on, tokens are shown in thousands, and from a million on, in millions."""
    assert words.tokens(number) == text


def test_times_for_the_browser() -> None:
    """A time is shown in whole milliseconds, a duration in seconds with all of its digits."""
    run = pb.Run(create_time=Timestamp(seconds=1, nanos=999_999_999))
    assert values.time(run, "create_time") == 1999
    assert values.time(run, "end_time") is None
    assert values.seconds(Duration(seconds=1, nanos=1)) == 1.000000001


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1d", 86_400), ("1h", 3_600), ("1m", 60), ("1s", 1), ("0.5s", 0.5), ("1d1h1m1.25s", 90_061.25)],
)
def test_durations_of_plans(text: str, seconds: float) -> None:
    """Days, hours, minutes and seconds differ, and are added up."""
    assert durations.seconds(text) == seconds
    plan = parse(
        f"{{name: x, epics: [{{key: a, tasks: [{{key: t, prompt: x, timeout: {text}}}]}}]}}", "p"
    ).plan
    assert plan.epics[0].tasks[0].timeout.ToNanoseconds() == seconds * 1e9


@pytest.mark.parametrize(
    ("usd", "micros"), [("0.000001", 1), ("0.0000014", 1), ("0.0000016", 2), ("12.5", 12_500_000)]
)
def test_budgets_of_plans(usd: str, micros: int) -> None:
    """A budget in dollars is rounded to millionths of a dollar."""
    text = f"{{name: x, budget_usd: {usd}, epics: [{{key: a, tasks: [{{key: t, prompt: x}}]}}]}}"
    plan = parse(text, "p").plan
    assert plan.budget_usd_micros == micros


@pytest.mark.parametrize(
    ("tokens", "micros"),
    [((0, 0), 0), ((1, 0), 1), ((3, 0), 2), ((4, 1), 3), ((1_000_000, 1_000_000), 750_000)],
)
def test_prices_are_per_million_tokens(tokens: tuple[int, int], micros: int) -> None:
    """Dollars per million tokens are micros per token; the sum, and not each part, is rounded up."""
    prices = Prices({"m": {"input": 0.5, "output": 0.25}})
    assert prices.cost(pb.Usage(model="m", input_tokens=tokens[0], output_tokens=tokens[1])) == micros
