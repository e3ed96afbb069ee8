"""What each viewer of a board has in sight: a summary is sent only to those who see its card."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Final

# Cards that one viewer may name. A screen shows some tens; the rest of a longer list counts as out of sight.
MOST_CARDS: Final = 500


class Sight:
    """The tasks whose cards each socket sees. A socket that has not said what it sees gets everything."""

    def __init__(self) -> None:
        self._seen: dict[str, frozenset[str]] = {}
        # Cards that have come into sight since the last frame.
        self._new: dict[str, frozenset[str]] = {}

    def see(self, socket: str, tasks: Iterable[str]) -> None:
        """Replaces what a socket sees. What is new in it is due even if it has not changed."""
        seen = frozenset(tasks)
        new = self._new.get(socket, frozenset()) | (seen - self._seen.get(socket, frozenset()))
        self._seen[socket] = seen
        self._new[socket] = new & seen

    def take(self, sockets: Iterable[str], changed: AbstractSet[str]) -> dict[frozenset[str], list[str]]:
        """Returns the sockets that get the summaries of each set of tasks, and forgets those that have closed.

        Whoever sees the same cards is in one list, for which a frame is encoded once.
        """
        due: dict[frozenset[str], list[str]] = {}
        present = list(sockets)
        for socket in present:
            seen = self._seen.get(socket)
            tasks = frozenset(changed if seen is None else changed & seen) | self._new.get(
                socket, frozenset()
            )
            if tasks:
                due.setdefault(tasks, []).append(socket)
        self._seen = {socket: self._seen[socket] for socket in present if socket in self._seen}
        self._new.clear()
        return due


def cards_of(given: object) -> list[str] | None:
    """Returns the tasks that a browser says it sees; None if it says nothing."""
    if not isinstance(given, list):
        return None
    return [each for each in given[:MOST_CARDS] if isinstance(each, str)]
