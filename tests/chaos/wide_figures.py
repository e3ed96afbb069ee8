"""The figures of a simulated day of a wide fleet."""

from typing import NamedTuple


class Figures(NamedTuple):
    """The result of a day."""

    epics: int
    # How many places there were in total, and at most at the same time.
    places: int
    peak_places: int
    tasks: int
    accepted: int
    attempts: int
    # The most sessions at the same time.
    peak: int
    lost: int
    # Epics that continued at another place.
    moved: int
    crashed: int
    wiped: int
    frozen: int
    cut: int
    drained: int
    # Workers that left the fleet, or pods that were preempted.
    gone: int
    # Pushes that the remote refused.
    refused: int
    leaders: int
    cancelled: int
    # Minutes from a cancellation to its end.
    slowest_cancel: int
    decisions: int
    # Epics of unfinished runs, summed over all decisions.
    looked_at: int
    simulated_hours: float
    violations: list[str]
    # SHA-256 of all decisions in order.
    digest: str
