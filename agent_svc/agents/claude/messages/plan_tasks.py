"""Tracks the plan of an agent that changes one task in each call, and reports the complete plan. Pure."""

import re
from typing import Any, Final

from agent_svc.agents.base.tool_vocabulary import plan_told
from heddle import pb

CREATE: Final = "TaskCreate"
UPDATE: Final = "TaskUpdate"

# Only the answer contains the id: "Task #1 created successfully: …".
_ID: Final = re.compile(r"#(\S+)")


class Tasks:
    """The steps of the plan so far, in the order in which they were created."""

    def __init__(self) -> None:
        # By id: the text and the status.
        self._steps: dict[str, tuple[str, str]] = {}

    def changes(self, name: str) -> bool:
        """Returns whether calls of this tool change the plan."""
        return name in {CREATE, UPDATE}

    def take(self, call_id: str, name: str, told: dict[str, Any], answer: str) -> list[pb.Event]:
        """Returns the complete plan after a successful call; empty if the call names an unknown task."""
        if name == CREATE:
            found = _ID.search(answer)
            number = found[1] if found else str(len(self._steps) + 1)
            self._steps[number] = (str(told.get("subject", "")), "pending")
        else:
            number = str(told.get("taskId", ""))
            if number not in self._steps:
                return []
            text, status = self._steps[number]
            status = str(told.get("status") or status)
            if status == "deleted":
                del self._steps[number]
            else:
                self._steps[number] = (str(told.get("subject") or text), status)
        return plan_told(call_id, self._steps.values())
