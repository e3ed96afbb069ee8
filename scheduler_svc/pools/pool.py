"""Where epics run, apart from workers that exist anyway: a pool makes a worker for each epic."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeAlias

from heddle.config import WorkerAddress


class PlaceKey(NamedTuple):
    """What a place is for: one epic, as often as it has been placed."""

    run: str
    epic: str
    # From 1. A place that was lost is never used again: the epic's next place has the next number.
    generation: int


@dataclass(frozen=True)
class PlaceSpec:
    """A place that an epic needs."""

    key: PlaceKey
    # What the place must offer, as in `place:` of a plan.
    labels: Mapping[str, str] = field(default_factory=dict)
    # What its pod requests, by name, in quantities of Kubernetes.
    resources: Mapping[str, str] = field(default_factory=dict)
    # The kinds of agents of the epic's tasks.
    agents: frozenset[str] = frozenset()
    # True: the place was ready before, and work may have been done there. If it is missing now, it is gone, and
    # is not made again under the same generation.
    placed: bool = False


@dataclass(frozen=True)
class Ready:
    """The place exists and its worker answers, or did before."""

    address: WorkerAddress


@dataclass(frozen=True)
class Waiting:
    """The place does not exist yet. `reason` is for the operator; waiting uses no retry."""

    reason: str


@dataclass(frozen=True)
class Gone:
    """The place is lost, with everything on its disk; the epic needs another generation."""

    reason: str
    # True: the epic, its image or its limits are to blame, so that another place would be lost as well. False:
    # the cluster is: a node failed, or the place was evicted or preempted.
    failed: bool


Answer: TypeAlias = Ready | Waiting | Gone


class Pool(Protocol):
    """Makes places and removes them. Every call is idempotent, and may be repeated by the next leader.

    `on_change` is called when the answer of a later `ensure` may differ.
    """

    on_change: Callable[[], None]

    async def ensure(self, spec: PlaceSpec) -> Answer:
        """Returns the state of a place, and asks for the place if it does not exist. Waits only for the pool's answer."""
        ...

    async def release(self, key: PlaceKey, keep: float = 0) -> None:
        """Removes a place in the background, `keep` seconds from now; does nothing if it does not exist."""
        ...

    async def release_others(self, used: Iterable[PlaceKey], keep: float = 0) -> None:
        """Releases all places but `used`: those of an earlier leader that no epic needs."""
        ...

    def workers(self) -> dict[PlaceKey, WorkerAddress]:
        """Returns the workers of the places that are ready, or were and still exist."""
        ...

    def is_gone(self, key: PlaceKey) -> bool:
        """Returns whether a place is known not to exist, with all that ran there."""
        ...

    def key_of(self, worker: str, run: str, epic: str) -> PlaceKey | None:
        """Returns the place of an epic whose worker has that name; None if the worker is not of this pool."""
        ...

    def list(self) -> list[PlaceKey]:
        """Returns the places that exist, in order."""
        ...
