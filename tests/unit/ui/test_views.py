"""How messages are converted for the browser."""

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from heddle import pb
from ui_svc import views


def test_enums_are_lower_case_words() -> None:
    """The common prefix of enum values is left out."""
    assert views.run(pb.Run(state=pb.RUN_STATE_PAUSED))["state"] == "paused"
    assert views.epic(pb.Epic(state=pb.EPIC_STATE_CONFLICTED))["state"] == "conflicted"
    assert views.attempt(pb.Attempt(state=pb.ATTEMPT_STATE_LOST))["state"] == "lost"


def test_an_epic_says_what_it_waits_for_and_where_it_moved() -> None:
    """A place that is missing is its reason unless it has another; a move is one sentence with its time."""
    waits = "waiting for a place: no worker offers the labels gpu=true"
    assert views.epic(pb.Epic(waits_for=waits))["reason"] == waits
    assert (
        views.epic(pb.Epic(waits_for=waits, merge_hold="main is checked out"))["reason"]
        == "main is checked out"
    )
    move = pb.EpicMove(to_worker="w3", reason="w1 was lost (no retry used)", time=Timestamp(seconds=2))
    view = views.epic(pb.Epic(last_move=move))
    assert (view["moved"], view["moved_at"]) == ("moved to w3 after w1 was lost (no retry used)", 2000)
    assert [views.epic(pb.Epic())[key] for key in ("moved", "moved_at")] == ["", None]


def test_a_state_of_a_newer_server_is_unknown() -> None:
    """A number that this version does not know is shown as unknown."""
    assert views.task(pb.Task(state=99))["state"] == "unknown"  # type: ignore[arg-type]  # not known on purpose


def test_times_are_milliseconds_and_absent_ones_none() -> None:
    """An absent time differs from the start of 1970."""
    run = views.run(pb.Run(create_time=Timestamp(seconds=2, nanos=345_000_000)))
    assert (run["created"], run["ended"]) == (2345, None)


def test_an_event_carries_its_payload_beside_its_type() -> None:
    """A payload's own `kind` is kept, and numbers that are zero are left out."""
    event = pb.Event(sequence=7, message=pb.Message(kind=pb.MESSAGE_KIND_THINKING, text="hm"))
    assert views.event(event) == {
        "sequence": 7,
        "time": None,
        "actor": "",
        "type": "message",
        "kind": "thinking",
        "text": "hm",
        "log": ["info", "thinks", ""],
    }
    asked = pb.Event(approval_requested=pb.ApprovalRequested(question="May I?"))
    assert views.event(asked)["log"] == ["warning", "agent", "asks: May I?"]


def test_an_event_of_a_run_carries_its_words() -> None:
    """The page describes events with the same text as the command line."""
    merged = pb.Event(epic="api", merge_finished=pb.MergeFinished(target_branch="main", commit="a" * 40))
    assert views.turn(merged)["words"] == "merged into main as aaaaaaaaaa"
    assert views.turn(pb.Event(check_finished=pb.CheckFinished(name="tests")))["words"].startswith(
        "✗ check tests"
    )


def test_nested_payloads_become_plain_values() -> None:
    """Durations are seconds, messages are mappings, repeated fields lists."""
    check = pb.CheckFinished(name="tests", duration=Duration(nanos=5_000_000), tests=pb.TestCounts(failed=2))
    view = views.event(pb.Event(check_finished=check))
    assert (view["duration"], view["tests"]) == (0.005, {"failed": 2})
    found = pb.Findings(errors=1, first=[pb.Finding(level=pb.FINDING_LEVEL_ERROR, file="a.py")])
    view = views.event(pb.Event(check_finished=pb.CheckFinished(findings=found)))
    assert view["findings"] == {"errors": 1, "first": [{"level": "error", "file": "a.py"}]}
    conflict = views.event(pb.Event(merge_conflicted=pb.MergeConflicted(files=["a", "b"])))
    assert conflict["files"] == ["a", "b"]


def test_an_unknown_price_is_not_zero() -> None:
    """Usage without a price has no cost in its event, and totals say that they are incomplete."""
    assert "cost_usd_micros" not in views.event(pb.Event(usage=pb.Usage(model="m")))
    assert views.event(pb.Event(usage=pb.Usage(cost_usd_micros=0)))["cost_usd_micros"] == 0
    assert views.usage(pb.UsageTotals(cost_incomplete=True))["cost_incomplete"] is True


def test_the_exit_code_of_a_killed_check_is_absent() -> None:
    """Zero means success; None means that there was no exit code."""
    assert views.check(pb.CheckFinished(exit_code=0))["exit_code"] == 0
    assert views.check(pb.CheckFinished())["exit_code"] is None


def test_the_board_carries_no_output_of_checks() -> None:
    """Output of checks can be large, so only a single attempt includes it."""
    attempt = pb.Attempt(checks=[pb.CheckFinished(name="tests", output="long")])
    assert "output" not in views.attempt(attempt)["checks"][0]
    assert views.whole_attempt(attempt)["checks"][0]["output"] == "long"


def test_only_a_single_attempt_names_what_its_checks_found() -> None:
    """A card has only counts; a single attempt also has names and findings."""
    check = pb.CheckFinished(
        tests=pb.TestCounts(failed=1, failing=["a"]),
        coverage=pb.Coverage(lines_covered=1, lines_valid=2),
        findings=pb.Findings(notes=1, first=[pb.Finding(level=pb.FINDING_LEVEL_NOTE, line=3)]),
        report_problems=["junit: no"],
    )
    card, whole = views.check(check), views.whole_check(check)
    assert card["coverage"] == {"covered": 1, "valid": 2}
    assert card["findings"] == {"errors": 0, "warnings": 0, "notes": 1}
    assert not {"failing", "first_findings", "problems"} & card.keys()
    assert whole["failing"] == ["a"]
    assert whole["first_findings"] == [{"level": "note", "line": 3}]
    assert whole["problems"] == ["junit: no"]
    assert (views.check(pb.CheckFinished())["coverage"], views.check(pb.CheckFinished())["findings"]) == (
        None,
        None,
    )


@pytest.mark.parametrize(("length", "shown"), [(300, 300), (301, 300)])
def test_length_of_a_tools_target(length: int, shown: int) -> None:
    """A card shows at most 300 characters of what a tool affects."""
    assert views.tool(pb.ToolStarted(target="ä" * length))["target"] == "ä" * shown
