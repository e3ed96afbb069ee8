"""Detects whether a model was called."""

import pytest

from agent_svc.sessions.model_signs import ModelSigns
from heddle import pb

TEXT = pb.Event(message=pb.Message(kind=pb.MESSAGE_KIND_TEXT, text="Done."))
EMPTY = pb.Event(message=pb.Message(kind=pb.MESSAGE_KIND_TEXT, text="\n", last=True))
TOOL = pb.Event(tool_started=pb.ToolStarted(name="Bash"))
USED = pb.Event(usage=pb.Usage(model="m", input_tokens=10))
PRICED = pb.Event(usage=pb.Usage(model="m", cost_usd_micros=5))
UNUSED = pb.Event(usage=pb.Usage(model="m"))
OUTPUT = pb.Event(output=pb.Output(text="blocked by hook"))


@pytest.mark.parametrize(
    ("events", "answered"),
    [
        ([], False),
        ([OUTPUT, EMPTY], False),
        ([TEXT], True),
        ([TOOL], True),
        ([TEXT, USED], True),
        ([TEXT, PRICED], True),
        ([TEXT, UNUSED], False),
        ([TEXT, UNUSED, USED], True),
        ([USED], False),
    ],
)
def test_only_words_and_calls_of_a_model_are_an_answer(events: list[pb.Event], answered: bool) -> None:
    """Text reported with zero usage is the agent's own, and usage without text is no answer."""
    signs = ModelSigns()
    for event in events:
        signs.take([event])
    assert signs.answered == answered
