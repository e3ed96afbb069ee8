"""What a later attempt needs to resume a session: stored by agent_svc as the session's id. Pure."""

from typing import Final, NamedTuple

_MORE: Final = "+"


class Memory(NamedTuple):
    """The agent's own id of its session, and how much of its cost was reported already, in micros of a dollar.

    Agents count a session's cost from its beginning, also after it was resumed. `unsettled`:
    more usage was reported than `spent` covers, and the agent has not reported its cost.
    """

    session_id: str
    spent: int = 0
    unsettled: bool = False

    def __str__(self) -> str:
        return f"{self.spent}{_MORE if self.unsettled else ''}:{self.session_id}"

    @classmethod
    def parse(cls, text: str) -> "Memory":
        """Returns what `str` gave; raises ValueError for another text."""
        spent, _, session_id = text.partition(":")
        return cls(session_id, int(spent.removesuffix(_MORE)), spent.endswith(_MORE))
