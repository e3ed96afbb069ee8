"""Finds the plan in what an agent said. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from heddle import pb
from heddle.events import fenced_blocks
from heddle.events.agent_text import is_message, is_output

# An agent that says more hands over the end of it, in characters.
MAX_TEXT: Final = 4_000_000

# A line of YAML, or a key of JSON, that every plan has.
_EPICS: Final = re.compile(
    r"^(epics[ \t]*:|[ \t{]*\"epics\"[ \t]*:|.*[{,][ \t]*\"epics\"[ \t]*:)", re.MULTILINE
)


@dataclass(frozen=True)
class Handover:
    """What an agent handed over."""

    # The different plans that it wrote last; one if all is well.
    plans: tuple[str, ...] = ()
    # What it said besides, in Markdown.
    reasons: str = ""
    # True: its last plan has no end, as after a limit of the model's output.
    cut_off: bool = False


def handed_over(events: Iterable[pb.Event]) -> Handover:
    """Returns what the agent of a session handed over, from the session's events in their order.

    It is the newest message with a plan, and what was said after it. An agent without messages, such as a
    command, hands over its standard output.
    """
    messages, output = _said(events)
    texts = messages or [output]
    for place in reversed(range(len(texts))):
        found = in_text(texts[place])
        if found.plans:
            after = [text.strip() for text in texts[place + 1 :]]
            reasons = "\n\n".join(filter(None, (found.reasons, *after)))
            return Handover(found.plans, reasons, found.cut_off)
    return Handover(reasons=texts[-1].strip() if texts else "")


def in_text(text: str) -> Handover:
    """Returns the plans in the fenced blocks of a text; a text without such blocks can be a plan itself."""
    blocks: list[str] = []
    rest: list[str] = []
    cut_off = False
    for part in fenced_blocks.parts(text):
        if isinstance(part, str):
            rest.append(part)
        elif _EPICS.search(part.content):
            blocks.append(part.content)
            cut_off = not part.closed
        else:
            rest.append(f"```\n{part.content}```")
    reasons = "\n".join(rest).strip()
    if blocks:
        return Handover(tuple(dict.fromkeys(blocks)), reasons, cut_off)
    if _EPICS.search(text):
        return Handover((text.strip() + "\n",))
    return Handover(reasons=text.strip())


def _said(events: Iterable[pb.Event]) -> tuple[Sequence[str], str]:
    """Returns the messages of the session's own agent, and its standard output."""
    messages: list[str] = []
    output: list[str] = []
    ended = True
    for event in events:
        said = event.message
        if is_message(event):
            if ended:
                messages.append("")
            messages[-1] = _end_of(messages[-1] + said.text)
            ended = said.last
        elif is_output(event):
            output.append(event.output.text)
        else:
            ended = ended or event.HasField("tool_started")
    return messages, _end_of("".join(output))


def _end_of(text: str) -> str:
    return text[-MAX_TEXT:]
