"""Time counts only while the process can run."""

import asyncio
import time

import pytest

from agent_svc.sessions.leader_lease import Lease
from heddle.timing import running_time


class Clock:
    """A loop's clock and sleep that use no real time; a sleep can include a freeze."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.freezes: list[float] = []
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)
        self._pass = asyncio.sleep
        monkeypatch.setattr(asyncio, "sleep", self.sleep)

    async def rest(self) -> None:
        """Lets other tasks run."""
        await self._pass(0)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + (self.freezes.pop(0) if self.freezes else 0.0)
        await self._pass(0)


@pytest.mark.parametrize(
    ("frozen", "took"),
    # A freeze is added to the duration, up to one tick.
    [(0, 10.0), (0.5, 10.0), (75, 84.0)],
)
async def test_sleep_does_not_count_a_freeze(
    monkeypatch: pytest.MonkeyPatch, frozen: float, took: float
) -> None:
    """A sleep ends once the process was able to run that long; less than a tick of delay counts."""
    clock = Clock(monkeypatch)
    clock.freezes = [0.0, frozen]
    await running_time.sleep(10)
    assert clock.now == took


async def test_timer_calls_once_unless_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The callback is called after the time, and never after the timer is cancelled."""
    clock = Clock(monkeypatch)
    called: list[tuple[str, float]] = []
    ended = asyncio.Event()
    dropped = running_time.Timer(2.5, lambda: called.append(("dropped", clock.now)))
    dropped.cancel()
    dropped.cancel()

    def end() -> None:
        called.append(("kept", clock.now))
        ended.set()

    running_time.Timer(2.5, end)
    await ended.wait()
    await running_time.sleep(10)
    assert called == [("kept", 2.5)]


async def test_wait_for_gives_up_and_cancels() -> None:
    """A call that takes too long is cancelled; the result or error of any other call is passed on."""

    async def fail() -> None:
        raise KeyError

    forever = asyncio.ensure_future(asyncio.Event().wait())
    with pytest.raises(TimeoutError):
        await running_time.wait_for(forever, 0.01)
    await asyncio.sleep(0)
    assert forever.cancelled()
    assert await running_time.wait_for(asyncio.sleep(0, "done"), 5) == "done"
    with pytest.raises(KeyError):
        await running_time.wait_for(fail(), 5)


async def test_lease_waits_for_a_leader_that_woke_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that expired during a freeze can still be renewed; otherwise it ends on time."""
    clock = Clock(monkeypatch)
    ended = asyncio.Event()
    lease = Lease(5, ended.set)
    lease.renew()
    await ended.wait()
    assert clock.now == 5.0

    ended.clear()
    clock.now, clock.freezes = 0.0, [0.0, 60.0]
    lease.renew()
    await ended.wait()
    assert clock.now == 62.0 + 10.0


async def test_a_lease_that_is_renewed_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each renewal restarts the lease, which ends its full time after the last one."""
    clock = Clock(monkeypatch)
    ended = asyncio.Event()
    lease = Lease(5, ended.set)
    for _ in range(3):
        lease.renew()
        begun = clock.now
        while clock.now < begun + 4:
            await clock.rest()
    assert not ended.is_set()
    await ended.wait()
    assert clock.now == begun + 5


def test_a_limit_is_put_off_by_a_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread waits its full time whatever the freeze; a result is returned immediately."""
    clock, freezes = [0.0], [0.0, 60.0]

    def nothing(seconds: float) -> str:
        clock[0] += seconds + (freezes.pop(0) if freezes else 0.0)
        return ""

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    assert not running_time.Limit(5).wait(nothing)
    assert clock[0] == 5.0 + 60.0 - running_time.TICK
    assert running_time.Limit(5).wait(lambda _: "here") == "here"
