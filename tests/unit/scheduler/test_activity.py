"""The activity of an agent: events per span of five seconds."""

from scheduler_svc.model.sessions.activity import KEPT, counted


def test_events_are_counted_in_the_span_that_they_happened_in() -> None:
    """The first event begins the list, silence is zeros, the newest span is last."""
    first = counted([], 0, [100, 101, 104])
    assert first == [3]
    second = counted(first, 104, [106, 121])
    assert second == [3, 1, 0, 0, 1]


def test_only_the_last_minutes_are_kept() -> None:
    """The list stays short however long an agent was silent, and old events are dropped."""
    assert counted([9], 0, [10_000_000]) == [*[0] * (KEPT - 1), 1]
    many = counted([1] * KEPT, 1000, [1005])
    assert len(many) == KEPT
    assert many == [1] * KEPT


def test_a_clock_that_went_back_loses_nothing_and_moves_nothing() -> None:
    """An event from before the list is dropped; a later one is counted in its span."""
    assert counted([2, 2], 109, [101, 108]) == [3, 3]
    assert counted([2], 100, [50]) == [2]


def test_a_span_is_five_seconds_and_three_minutes_are_kept() -> None:
    """The card shows 36 spans."""
    assert len(counted([1] * 36, 179, [180])) == 36
    assert len(counted([1] * 35, 179, [180])) == 36


def test_the_first_list_begins_with_the_oldest_event() -> None:
    """Events of the first batch are counted in their own spans, in any order."""
    assert counted([], 0, [111, 100]) == [1, 0, 1]


def test_an_event_right_before_the_list_is_dropped() -> None:
    """It is not counted in another span."""
    assert counted([2, 0], 105, [99]) == [2, 0]
