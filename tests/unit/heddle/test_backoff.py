import pytest

from heddle.timing.backoff import Backoff


@pytest.fixture(params=[0.5, 1.0], ids=["shortest", "longest"])
def share(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """The random share of a pause, at its two bounds."""
    share: float = request.param
    bounds = {0.5: 0, 1.0: 1}
    monkeypatch.setattr("random.uniform", lambda *ends: ends[bounds[share]])
    return share


def test_pauses_double_up_to_the_longest(share: float) -> None:
    """Each pause is twice as long as the one before, and never longer than the limit."""
    backoff = Backoff(first=0.1, longest=0.5)
    assert [backoff.seconds() for _ in range(5)] == pytest.approx(
        [share * each for each in (0.1, 0.2, 0.4, 0.5, 0.5)]
    )


def test_a_success_starts_again_from_the_shortest_pause(share: float) -> None:
    """After a reset, the next pause is the first one again."""
    backoff = Backoff(first=0.1, longest=9)
    backoff.seconds()
    backoff.seconds()
    backoff.reset()
    assert backoff.seconds() == pytest.approx(0.1 * share)


def test_the_limit_can_change_between_two_pauses(share: float) -> None:
    """A new limit applies to the next pause, in both directions."""
    backoff = Backoff(first=1, longest=1)
    backoff.seconds()
    backoff.longest = 4
    assert [backoff.seconds() for _ in range(3)] == pytest.approx([1 * share, 2 * share, 4 * share])
    backoff.longest = 3
    assert backoff.seconds() == pytest.approx(3 * share)


async def test_waits_as_long_as_it_says(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """A wait sleeps for the next pause."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("asyncio.sleep", sleep)
    backoff = Backoff(first=2, longest=3)
    await backoff.wait()
    await backoff.wait()
    assert slept == pytest.approx([2 * share, 3 * share])


def test_pauses_that_are_not_set_begin_at_50_ms_and_end_at_2_s(share: float) -> None:
    """The default suits calls of other services."""
    backoff = Backoff()
    assert [backoff.seconds() for _ in range(8)] == pytest.approx(
        [share * each for each in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2, 2)]
    )
