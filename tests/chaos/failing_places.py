"""Places in memory: workers and pods whose processes, disks and networks fail, and the sessions that run there.

A place does what `worktree_svc` does with a remote, step by step; it can fail between any two steps, and what it sent
arrives at any later time.
"""

import enum
import heapq
import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from heddle import pb
from heddle.names import AttemptName, EpicName
from scheduler_svc.policy.snapshot import WorkerView
from tests.chaos.fenced_remote import NOTHING, Claim, Disk, FencedRemote, Push

# Ticks after which an unreachable place has lost its sessions, as the scheduler and the place know.
LEASE: Final = 2

# The share of pushes that arrive late, and by how many ticks at most: also long after their place was lost.
_LATE: Final = 0.04
_LATEST: Final = 8 * LEASE
# The share of those for which the place's network fails altogether: the scheduler cannot reach it either.
_CUT: Final = 0.4


class Step(enum.Enum):
    """What a session does next."""

    # The scheduler asks the place to take the epic's claim.
    CALL = enum.auto()
    CLAIM = enum.auto()
    WORK = enum.auto()
    # The scheduler asks the place to accept the work.
    COMMIT = enum.auto()
    PUSH = enum.auto()
    # The scheduler learns of the acceptance, or of another outcome.
    ANSWER = enum.auto()


@dataclass
class Place:
    """A worker, or a pod of one epic. Its state is when each of its problems ends."""

    name: str
    slots: int
    labels: frozenset[tuple[str, str]]
    # The epic that it was made for; None: it takes any.
    epic: EpicName | None = None
    # From when it can be reached at all.
    ready: int = 0
    disk: int = 0
    # The claims that this disk holds.
    claims: dict[EpicName, Claim] = field(default_factory=dict)
    down: int = 0
    frozen: int = 0
    # No connection to the scheduler, or to the remote.
    cut: int = 0
    offline: int = 0
    drained: int = 0
    full: int = 0
    # When the scheduler lost contact with it; None: it has contact.
    silent_since: int | None = None
    # The tick after which nothing of it runs any more: it left the fleet, or was preempted. None: it exists.
    ends: int | None = None

    def connected(self, now: int) -> bool:
        return self.ends is None and max(self.ready, self.down, self.frozen, self.cut) <= now

    def works(self, now: int) -> bool:
        """Returns whether its processes run, whoever can reach them."""
        return max(self.ready, self.down, self.frozen) <= now and (self.ends is None or now <= self.ends)

    def view(self, now: int) -> WorkerView:
        return WorkerView(
            self.name,
            self.slots,
            connected=self.connected(now),
            full=self.full > now,
            draining=self.drained > now,
            epic=self.epic,
            labels=self.labels,
        )


@dataclass(eq=False)
class Session:
    """An attempt at a place. The place continues with it until it learns that the attempt has ended."""

    attempt: AttemptName
    place: Place
    generation: int
    # The last accepted commit, according to the database.
    head: int
    ticks: int
    # When its work ends.
    until: int = 0
    step: Step = Step.CALL
    commit: int = 0
    outcome: "pb.Outcome.ValueType" = pb.OUTCOME_SUCCEEDED
    dead: bool = False

    @property
    def epic(self) -> EpicName:
        return self.attempt.parent.parent


class Sessions:
    """Everything that happens at places, in the order of time."""

    def __init__(self, remote: FencedRemote, chance: random.Random) -> None:
        self.now = 0
        # When the remote can be reached again.
        self.remote_away = 0
        self.all: dict[AttemptName, Session] = {}
        self._remote = remote
        self._chance = chance
        self._order = itertools.count()
        self._due: list[tuple[int, int, Session]] = []
        self._on_the_way: list[tuple[int, int, Session, Push]] = []

    def forget(self, session: Session) -> None:
        """Ends a session at its place, which does nothing more for it; what it sent still arrives."""
        session.dead = True
        del self.all[session.attempt]

    def begin(self, session: Session) -> None:
        self.all[session.attempt] = session
        self._again(session, 0)

    def repeat_calls(self) -> None:
        """Has every place called again that was called before: the next leader does not know of the answers."""
        for session in self.all.values():
            if session.step in {Step.CLAIM, Step.PUSH}:
                self._again(session, 0)

    def crash(self, place: Place) -> list[Session]:
        """Ends the sessions of a place; returns them."""
        ended = [each for each in self.all.values() if each.place is place and not each.dead]
        for session in ended:
            session.dead = True
        return ended

    def advance(self, now: int, outcome: Iterable["pb.Outcome.ValueType"]) -> None:
        """Delivers what is due, and lets every session do what it can. `outcome` has that of each session that ends."""
        self.now = now
        outcomes = iter(outcome)
        while self._on_the_way and self._on_the_way[0][0] <= now:
            _, _, session, push = heapq.heappop(self._on_the_way)
            applied = self._remote.receive(push)
            if session.place.works(now) and not session.dead:
                self._hear(session, push, applied=applied)
                self._again(session, 0)
        while self._due and self._due[0][0] <= now:
            _, _, session = heapq.heappop(self._due)
            if session.dead:
                continue
            if session.step in {Step.CLAIM, Step.PUSH}:
                self._send(session)
            elif session.step is Step.WORK and session.until <= now:
                if session.place.works(now):
                    session.outcome = next(outcomes)
                    session.step = Step.COMMIT if session.outcome == pb.OUTCOME_SUCCEEDED else Step.ANSWER
                else:
                    self._again(session, 1)

    def call(self, session: Session) -> None:
        """Has the scheduler's call reach the place."""
        if session.step is Step.CALL:
            session.step = Step.CLAIM
        elif session.step is Step.COMMIT:
            session.step = Step.PUSH
            session.commit = session.commit or self._remote.new_commit()
        self._again(session, 0)

    def _send(self, session: Session) -> None:
        """Has a place push its claim: to take it, or with an accepted commit."""
        place = session.place
        if not place.works(self.now) or max(place.offline, self.remote_away) > self.now:
            self._again(session, 1)
            return
        push = self._taking(session) if session.step is Step.CLAIM else self._accepting(session)
        if push is None:
            return
        if self._chance.random() < _LATE:
            arrival = self.now + self._chance.randint(1, _LATEST)
            if self._chance.random() < _CUT:
                place.cut = self.now + self._chance.randint(1, 4 * LEASE)
            heapq.heappush(self._on_the_way, (arrival, next(self._order), session, push))
            # The place may give up before that, and try again.
            self._again(session, self._chance.randint(1, _LATEST))
            return
        self._hear(session, push, applied=self._remote.receive(push))
        self._again(session, 0)

    def _taking(self, session: Session) -> Push | None:
        mine = session.place.claims.get(session.epic, NOTHING)
        if mine.generation == session.generation:
            self._work(session)
            return None
        found = self._remote.read(session.epic)
        if found.generation > session.generation:
            self._is_stale(session)
            return None
        new = Claim(self._remote.new_commit(), session.generation, self._disk(session.place), session.head)
        return Push(session.epic, found, new, accepts=False)

    def _accepting(self, session: Session) -> Push | None:
        mine = session.place.claims.get(session.epic, NOTHING)
        if mine.generation != session.generation:
            self._is_stale(session)
            return None
        if mine.accepted == session.commit:
            session.step = Step.ANSWER
            return None
        new = mine._replace(commit=self._remote.new_commit(), accepted=session.commit)
        return Push(session.epic, mine, new, accepts=True)

    def _hear(self, session: Session, push: Push, *, applied: bool) -> None:
        """Takes note of the remote's answer to a push, unless an earlier answer already ended the step."""
        claims = session.place.claims
        if applied:
            if push.new.holder == self._disk(session.place):
                claims[session.epic] = push.new
            return
        if session.step is not Step.PUSH:
            return
        found = self._remote.read(session.epic)
        mine = claims.get(session.epic, NOTHING)
        if (found.generation, found.holder) != (mine.generation, mine.holder):
            self._is_stale(session)
        else:
            # An earlier push arrived, and its answer was lost.
            claims[session.epic] = found

    def _disk(self, place: Place) -> Disk:
        return Disk(place.name, place.disk)

    def _work(self, session: Session) -> None:
        session.step, session.until = Step.WORK, self.now + session.ticks
        self._again(session, session.ticks)

    def _is_stale(self, session: Session) -> None:
        session.outcome, session.step = pb.OUTCOME_LOST, Step.ANSWER

    def _again(self, session: Session, ticks: int) -> None:
        heapq.heappush(self._due, (self.now + ticks, next(self._order), session))
