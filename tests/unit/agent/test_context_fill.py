"""How full the context of an agent's model is, as a card shows it."""

import pytest

from agent_svc.agents.base.context_fill import with_context
from heddle import pb
from scheduler_svc.model.session_summary import fold


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
