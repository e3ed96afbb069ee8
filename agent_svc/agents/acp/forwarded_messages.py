"""Reads Claude's messages that its adapter forwards: the tokens of each call and the cost of a turn. Pure.

The protocol itself reports both only at the end of a turn, and omits the tokens of sub-agents.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from agent_svc.agents.claude.messages.rate_limits import REPORT
from agent_svc.agents.claude.messages.system_messages import BEGUN, COMPACTED
from agent_svc.agents.claude.messages.usage import TOKENS, difference, total_of
from agent_svc.agents.claude.model_calls import OpenCall, used
from heddle import pb

# The messages to request from the adapter, and the method with which it forwards them.
WANTED: Final = [
    {"type": "stream_event"},
    {"type": "assistant"},
    {"type": "result"},
    {"type": "system", "subtype": BEGUN},
    {"type": "system", "subtype": COMPACTED},
    {"type": REPORT},
]
METHOD: Final = "claude/sdkMessage"

# Totals and calls may name a model with or without its date, and with its context window.
_VARIANT: Final = re.compile(r"(-20\d{6})?(\[\w+\])?$")


class ForwardedMessages:
    """Translates Claude's messages to the usage since the last message.

    A call is reported without a cost as soon as it is answered. At the end of a turn, Claude
    reports its totals. Usage that is still missing is reported then, and each model's cost settles
    the calls of the model that were reported without a cost.
    """

    def __init__(self) -> None:
        self._call = OpenCall()
        # Ids of the reported messages of sub-agents: a message arrives once for each of its blocks.
        self._told: set[str] = set()
        # By model without its variant: the reported usage.
        self._known: dict[str, pb.Usage] = {}
        # True until the first totals of a session that an earlier attempt began.
        self._resumed = False
        # The cost that the earlier attempt reported, in micros of a US dollar. None: unknown.
        self._spent_before: int | None = 0
        # By model without its variant: the models reported since the last totals.
        self._unsettled: dict[str, str] = {}
        # True once the adapter has forwarded a message.
        self.heard = False

    @property
    def unsettled(self) -> bool:
        """True if Claude has not yet reported the cost of some reported usage."""
        return bool(self._unsettled)

    def resume(self, spent: int | None) -> None:
        """Starts from a session whose totals include the usage that an earlier attempt reported.

        `spent` is the cost of the earlier attempt in micros; None if it ended before it knew its cost.
        """
        self._resumed = True
        self._spent_before = spent

    def take(self, message: Mapping[str, Any]) -> list[pb.Event]:
        """Returns the usage in one message; empty if the message has an unknown form."""
        self.heard = True
        try:
            return self._take(message)
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError):
            return []

    def rest(self) -> list[pb.Event]:
        """Returns the usage of an interrupted call."""
        return self._tell(self._call.rest())

    def _take(self, message: Mapping[str, Any]) -> list[pb.Event]:
        is_of_sub_agent = message.get("parent_tool_use_id") is not None
        match message["type"]:
            case "stream_event" if not is_of_sub_agent:
                return self._tell(self._call.take(message["event"]))
            case "assistant" if is_of_sub_agent:
                said = message["message"]
                if said["id"] not in self._told:
                    self._told.add(said["id"])
                    call = used(said["model"], said["usage"])
                    call.parent_tool_call_id = str(message["parent_tool_use_id"])
                    return self._tell(call)
            case "result":
                return self._settle(message["modelUsage"])
        return []

    def _tell(self, call: pb.Usage | None) -> list[pb.Event]:
        if call is None:
            return []
        name = _plain(call.model)
        self._unsettled[name] = call.model
        known = self._known.setdefault(name, pb.Usage())
        for kind in TOKENS:
            setattr(known, kind, getattr(known, kind) + getattr(call, kind))
        return [pb.Event(usage=call)]

    def _settle(self, totals: Mapping[str, Mapping[str, Any]]) -> list[pb.Event]:
        """Returns for each model the usage in its total that is not reported yet, with its cost.

        If no model was called, returns a report of zero cost: text without a call is not a model's answer.
        """
        if not totals and not self._unsettled:
            return [pb.Event(usage=pb.Usage(cost_usd_micros=0))]
        unsettled, self._unsettled = self._unsettled, {}
        before, self._known = self._known, {_plain(model): _total(told) for model, told in totals.items()}
        resumed, self._resumed = self._resumed, False
        if not resumed:
            since = {
                name: difference(total, before.get(name, pb.Usage())) for name, total in self._known.items()
            }
        elif self._spent_before is not None:
            since = _cost_beyond(self._spent_before, self._known)
        else:
            # The cost of this turn cannot be separated, so the estimates of its calls remain.
            since = {name: pb.Usage() for name in unsettled}
        names = {_plain(model): model for model in totals} | unsettled
        events = []
        for name, usage in since.items():
            if name in unsettled or any(getattr(usage, field) for field in (*TOKENS, "cost_usd_micros")):
                usage.model, usage.settled_usd_micros = names[name], 0
                events.append(pb.Event(usage=usage))
        return events


def _cost_beyond(spent: int, totals: Mapping[str, pb.Usage]) -> dict[str, pb.Usage]:
    """Returns the cost by model after subtracting `spent`, whose split by model is unknown."""
    since = {}
    for name, total in totals.items():
        since[name] = pb.Usage(cost_usd_micros=max(0, total.cost_usd_micros - spent))
        spent = max(0, spent - total.cost_usd_micros)
    return since


def _plain(model: str) -> str:
    return _VARIANT.sub("", model)


def _total(told: Mapping[str, Any]) -> pb.Usage:
    # Without a cost, the estimates of the calls would remain.
    return total_of("", {**told, "costUSD": told.get("costUSD") or 0})
