"""Finds the plan in what an agent said. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from heddle import pb

# An agent that says more hands over the end of it.
MAX_TEXT_BYTES: Final = 4 << 20

_FENCE: Final = re.compile(r"^( {0,3})(`{3,}|~{3,})[ \t]*([^`\n]*)$")
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
    for place in range(len(texts) - 1, -1, -1):
        found = in_text(texts[place])
        if found.plans or found.cut_off:
            after = [text.strip() for text in texts[place + 1 :]]
            reasons = "\n\n".join(filter(None, (found.reasons, *after)))
            return Handover(found.plans, reasons, found.cut_off)
    return Handover(reasons=texts[-1].strip() if texts else "")


def in_text(text: str) -> Handover:
    """Returns the plans in the fenced blocks of a text; a text without such blocks can be a plan itself."""
    blocks: list[str] = []
    rest: list[str] = []
    cut_off = False
    for block, whole in _parts(text):
        if block is None:
            rest.append(whole)
        elif _EPICS.search(block):
            blocks.append(block)
            cut_off = not whole
        else:
            rest.append(f"```\n{block}```")
    reasons = "\n".join(rest).strip()
    if blocks:
        return Handover(tuple(dict.fromkeys(blocks)), reasons, cut_off)
    if _EPICS.search(text):
        return Handover((text.strip() + "\n",))
    return Handover(reasons=text.strip())


def _parts(text: str) -> Iterator[tuple[str | None, str]]:
    """Yields each line outside of fenced blocks as (None, line), and each block with its closing fence.

    The closing fence is empty if the text ends within the block.
    """
    opening = ""
    indent = 0
    block: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        fence = _FENCE.match(line)
        if not opening:
            if fence:
                opening, indent, block = fence[2], len(fence[1]), []
            else:
                yield None, line
        elif fence and fence[2].startswith(opening) and not fence[3].strip():
            yield "\n".join(block) + "\n", line
            opening = ""
        else:
            block.append(line[indent:] if not line[:indent].strip() else line)
    if opening:
        yield "\n".join(block) + "\n", ""


def _said(events: Iterable[pb.Event]) -> tuple[Sequence[str], str]:
    """Returns the messages of the session's own agent, and its standard output."""
    messages: list[str] = []
    output: list[str] = []
    ended = True
    for event in events:
        said = event.message
        if event.HasField("message") and said.kind == pb.MESSAGE_KIND_TEXT and not said.parent_tool_call_id:
            if ended:
                messages.append("")
            messages[-1] = _end_of(messages[-1] + said.text)
            ended = said.last
        elif event.output.stream == pb.OUTPUT_STREAM_STDOUT and not event.output.tool_call_id:
            output.append(event.output.text)
        else:
            ended = ended or event.HasField("tool_started")
    return messages, _end_of("".join(output))


def _end_of(text: str) -> str:
    # In all languages, a character has at least one byte.
    return text[-MAX_TEXT_BYTES:]
