"""The dependency graph of epics."""

from collections.abc import Collection, Mapping


def waves(dependencies: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Returns the keys in waves: each depends only on earlier ones. Keys on a cycle, and those that depend on one, are left out.

    Every dependency must itself be a key of `dependencies`.
    """
    waiting_for = {key: len(set(depends_on)) for key, depends_on in dependencies.items()}
    dependents = reversed_edges(dependencies)
    found = []
    wave = [key for key, count in waiting_for.items() if not count]
    while wave:
        found.append(wave)
        following = []
        for key in wave:
            for dependent in dependents[key]:
                waiting_for[dependent] -= 1
                if not waiting_for[dependent]:
                    following.append(dependent)
        wave = following
    return found


def reversed_edges(dependencies: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Returns the dependents of each key."""
    dependents: dict[str, list[str]] = {key: [] for key in dependencies}
    for key, depends_on in dependencies.items():
        for each in set(depends_on):
            dependents[each].append(key)
    return dependents


def lengths_ahead(
    dependencies: Mapping[str, Collection[str]], lengths: Mapping[str, float]
) -> dict[str, float]:
    """Returns for each key its own length plus that of the longest chain of keys that depend on it."""
    dependents = reversed_edges(dependencies)
    ahead: dict[str, float] = {}
    for wave in reversed(waves(dependencies)):
        for key in wave:
            ahead[key] = lengths[key] + max((ahead[each] for each in dependents[key]), default=0.0)
    return ahead


def cycles(dependencies: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Returns cycles that share no epic, each as the keys along it; an empty list means that all can run."""
    left = dict(dependencies)
    found = []
    while left := _without(left, [key for wave in waves(left) for key in wave]):
        cycle = _walk(left)
        found.append(cycle)
        left = _without(left, cycle)
    return found


def _without(left: Mapping[str, Collection[str]], gone: Collection[str]) -> dict[str, Collection[str]]:
    absent = set(gone)
    return {
        key: [each for each in depends_on if each not in absent]
        for key, depends_on in left.items()
        if key not in absent
    }


def _walk(left: Mapping[str, Collection[str]]) -> list[str]:
    """Follows first dependencies, which every key has here, until a key repeats."""
    places: dict[str, int] = {}
    key = next(iter(left))
    while key not in places:
        places[key] = len(places)
        key = next(iter(left[key]))
    return list(places)[places[key] :]
