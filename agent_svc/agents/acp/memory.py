"""The data that a later attempt needs to resume a session; agent_svc stores it as the session's id. Pure."""

from typing import Final, NamedTuple

_MORE: Final = "+"


class Memory(NamedTuple):
    """The agent's own id of its session, and the cost reported so far, in micros of a US dollar.

    Agents count the cost from the beginning of a session, even after it was resumed. `unsettled`:
    usage beyond `spent` was reported, and the agent has not reported its cost.
    """

    session_id: str
    spent: int = 0
    unsettled: bool = False

    def __str__(self) -> str:
        return f"{self.spent}{_MORE if self.unsettled else ''}:{self.session_id}"

    @classmethod
    def parse(cls, text: str) -> "Memory":
        """Parses the output of `str`; raises ValueError for any other text."""
        spent, _, session_id = text.partition(":")
        return cls(session_id, int(spent.removesuffix(_MORE)), spent.endswith(_MORE))
