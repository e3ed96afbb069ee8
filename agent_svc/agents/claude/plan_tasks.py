"""The plan of an agent that keeps it as tasks, one call for each change, reported as a whole. Pure."""

import re
from typing import Any, Final

from agent_svc.agents.base.tool_vocabulary import plan_told
from heddle import pb

CREATE: Final = "TaskCreate"
UPDATE: Final = "TaskUpdate"

# The id is only in the answer: "Task #1 created successfully: …".
_ID: Final = re.compile(r"#(\S+)")


class Tasks:
    """What the agent plans so far, in the order in which it was planned."""

    def __init__(self) -> None:
        # By id: the text and the status.
        self._steps: dict[str, tuple[str, str]] = {}

    def changes(self, name: str) -> bool:
        """Says whether calls of this tool change the plan."""
        return name in {CREATE, UPDATE}

    def take(self, call_id: str, name: str, told: dict[str, Any], answer: str) -> list[pb.Event]:
        """Returns the whole plan after a call that went well; nothing if the call cannot be understood."""
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
