"""How full the context of an agent's model is, as a card shows it."""

import pytest

from agent_svc.agents.base.context_fill import with_context
from heddle import pb
from scheduler_svc.model.sessions.session_summary import fold


def test_the_last_report_says_how_full_the_context_is() -> None:
    """The card shows the newest fill; a report without a fill does not change it."""
    calls = [pb.Event(sequence=number, usage=pb.Usage(input_tokens=1)) for number in (1, 2)]
    last = pb.Event(sequence=3, usage=pb.Usage(input_tokens=1))
    summary = fold(pb.Attempt(), [*with_context(calls, 1100, 200_000), last]).summary
    assert not calls[0].usage.context_tokens
    assert (summary.context_tokens, summary.context_window) == (1100, 200_000)


@pytest.mark.parametrize("used", [0, -1, None, "7", 1.5, 1 << 60])
def test_what_is_not_a_count_is_not_known(used: object) -> None:
    """A value that is not a count is treated as unknown."""
    [event] = with_context([pb.Event(usage=pb.Usage(input_tokens=1))], used, 1000)
    assert event.usage == pb.Usage(input_tokens=1)
    assert with_context([], 7, 1000) == []


def test_only_a_positive_count_below_two_to_the_fiftieth_is_known() -> None:
    """Of several reports, the last one gets both figures; one token counts, and zero does not."""
    most = (1 << 50) - 1
    for count, known in ((1, 1), (most, most), (most + 1, 0), (0, 0), (-1, 0), ("5", 0)):
        reports = [pb.Event(usage=pb.Usage(model=name)) for name in "abc"]
        told = [event.usage for event in with_context(reports, 7, count)]
        assert [usage.context_tokens for usage in told] == [0, 0, 7]
        assert [usage.context_window for usage in told] == [0, 0, known]
        (alone,) = with_context([pb.Event(usage=pb.Usage())], count, 9)
        assert (alone.usage.context_tokens, alone.usage.context_window) == (known, 9 if known else 0)
