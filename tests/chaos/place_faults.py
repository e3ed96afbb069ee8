"""The places of a simulated fleet: workers come, and places fail in one of all ways."""

import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Final

from tests.chaos.failing_places import LEASE, Place, Sessions

GPU: Final = frozenset({("gpu", "true")})
NONE: Final[frozenset[tuple[str, str]]] = frozenset()

# The share of places that something befalls, in each tick, and what.
_SHARE: Final = 0.004
_OF_WORKERS: Final = ("crashed", "wiped", "frozen", "cut", "cut", "drained", "gone", "full", "offline")
_OF_PODS: Final = ("crashed", "frozen", "cut", "gone", "gone", "gone", "offline")


class Places:
    """All places that exist, or whose processes still run, and the leases of those without contact.

    `on_lost` is called with the name of each place that is lost. Fewer than `workers` workers are replaced gradually.
    """

    def __init__(
        self,
        chance: random.Random,
        sessions: Sessions,
        workers: int,
        slots: int,
        on_lost: Callable[[str], None],
    ) -> None:
        self.all: dict[str, Place] = {}
        # Places that do not exist any more, and workers whose leases have expired.
        self.lost: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.workers_ever = 0
        self._now = 0
        self._chance = chance
        self._sessions = sessions
        self._workers = workers
        self._slots = slots
        self._on_lost = on_lost
        self._numbers = itertools.count(1)
        for _ in range(workers * 3 // 4):
            self._join()

    def existing(self) -> list[Place]:
        """Returns the places that have neither left nor been removed."""
        return [place for place in self.all.values() if place.ends is None]

    def advance(self, now: int) -> None:
        """Has workers come, and some places fail; ends the leases that are over."""
        self._now = now
        missing = self._workers - sum(not place.epic for place in self.existing())
        for _ in range(min(missing // 20 + 1, missing)):
            self._join()
        if self._chance.random() < 0.02:
            self._sessions.remote_away = now + self._chance.randint(1, 2 * LEASE)
        for place in list(self.all.values()):
            if place.ends is None and place.ready <= now and self._chance.random() < _SHARE:
                self._befall(place)
            self._keep_lease(place)
            if place.ends is not None and now > place.ends and place.name in self.lost:
                del self.all[place.name]

    def remove(self, place: Place) -> None:
        """Removes a place that is not needed, with all that runs there."""
        place.ends = self._now
        self._lose(place.name)

    def _join(self) -> None:
        number = next(self._numbers)
        self.workers_ever = number
        self.all[f"w{number}"] = Place(f"w{number}", self._slots, GPU if number % 5 == 0 else NONE)

    def _befall(self, place: Place) -> None:
        chance, until = self._chance, self._now + self._chance.randint(1, 4 * LEASE)
        kind = chance.choice(_OF_PODS if place.epic else _OF_WORKERS)
        self.counts[kind] += 1
        match kind:
            case "crashed" | "wiped":
                place.down = until
                self._sessions.crash(place)
                if kind == "wiped":
                    place.disk += 1
                    place.claims.clear()
            case "frozen":
                place.frozen = until
            case "cut":
                place.cut = until
                # From the remote as well, half of the time.
                place.offline = until if chance.random() < 0.5 else 0
            case "offline":
                place.offline = until
            case "drained":
                place.drained = until
            case "full":
                place.full = until
            case "gone":
                # What runs there may not end at once.
                place.ends = self._now + chance.choice((0, 0, LEASE, 3 * LEASE))
                if place.epic:
                    self._lose(place.name)

    def _keep_lease(self, place: Place) -> None:
        now = self._now
        if place.connected(now):
            place.silent_since = None
            self.lost.discard(place.name)
            return
        if place.ends is not None and now > place.ends:
            self._sessions.crash(place)
        # One that was never there has no lease.
        if now < place.ready:
            return
        if place.silent_since is None:
            place.silent_since = now
        if now - place.silent_since >= LEASE:
            if place.works(now):
                # It knows as well that its lease has expired.
                self._sessions.crash(place)
            self._lose(place.name)

    def _lose(self, name: str) -> None:
        if name not in self.lost:
            self.lost.add(name)
            self._on_lost(name)
