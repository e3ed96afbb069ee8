"""The plan is found in what an agent said."""

import pytest

from heddle import pb
from heddle.drafts.handover import Handover, handed_over, in_text

PLAN = "name: x\nepics:\n  - key: a\n"
OTHER = PLAN.replace("x", "y")


def said(text: str, *, last: bool = True, parent: str = "") -> pb.Event:
    kind = pb.MESSAGE_KIND_TEXT
    return pb.Event(message=pb.Message(kind=kind, text=text, last=last, parent_tool_call_id=parent))


def printed(text: str, stream: "pb.OutputStream.ValueType" = pb.OUTPUT_STREAM_STDOUT) -> pb.Event:
    return pb.Event(output=pb.Output(stream=stream, text=text))


def fenced(plan: str, fence: str = "```", language: str = "yaml") -> str:
    return f"{fence}{language}\n{plan}{fence}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"Why.\n{fenced(PLAN)}", Handover((PLAN,), "Why."), id="a fence"),
        pytest.param(fenced(PLAN, "~~~~", ""), Handover((PLAN,)), id="another fence"),
        pytest.param(fenced(PLAN).replace("\n", "\r\n"), Handover((PLAN,)), id="line ends"),
        pytest.param(
            "  ```yaml\n  name: x\n  epics:\n    - key: a\n  ```\n",
            Handover((PLAN,)),
            id="an indented fence",
        ),
        pytest.param(PLAN, Handover((PLAN,)), id="only the plan"),
        pytest.param('{"name": "x", "epics": []}', Handover(('{"name": "x", "epics": []}\n',)), id="JSON"),
        pytest.param("No.", Handover(reasons="No."), id="a refusal"),
        pytest.param("", Handover(), id="nothing"),
        pytest.param(
            f"```sh\nmake\n```\n{fenced(PLAN)}", Handover((PLAN,), "```\nmake\n```"), id="another block first"
        ),
        pytest.param(fenced(PLAN) + fenced(OTHER), Handover((PLAN, OTHER)), id="two plans"),
        pytest.param(fenced(PLAN) + fenced(PLAN), Handover((PLAN,)), id="the same plan twice"),
        pytest.param(f"```yaml\n{PLAN}", Handover((PLAN + "\n",), cut_off=True), id="no end"),
        pytest.param(
            fenced(PLAN + "    prompt: |\n      ```\n      code\n      ```\n"),
            Handover((PLAN + "    prompt: |\n      ```\n      code\n      ```\n",)),
            id="a fence in a prompt",
        ),
    ],
)
def test_a_text_has_a_plan(text: str, expected: Handover) -> None:
    """Fenced blocks with epics are plans, whatever their fence; a text without them can be one itself."""
    assert in_text(text) == expected


def test_the_newest_message_with_a_plan_counts() -> None:
    """Earlier plans, sub-agents, tools and the operator do not count; what is said after the plan is a reason."""
    operator = pb.Message(kind=pb.MESSAGE_KIND_OPERATOR, text=fenced(OTHER), last=True)
    thought = pb.Message(kind=pb.MESSAGE_KIND_THINKING, text=fenced(OTHER), last=True)
    events = [
        said(fenced(OTHER)),
        said("Here it ", last=False),
        said("is.\n```ya", last=False),
        said(f"ml\n{PLAN}```\n"),
        pb.Event(tool_started=pb.ToolStarted(tool_call_id="1", name="TodoWrite")),
        said(fenced(OTHER), parent="1"),
        pb.Event(message=operator),
        pb.Event(message=thought),
        printed(fenced(OTHER)),
        said("Done."),
    ]
    assert handed_over(events) == Handover((PLAN,), "Here it is.\n\nDone.")


def test_a_message_that_a_tool_interrupts_has_ended() -> None:
    """Not every agent marks the end of a message."""
    tool = pb.Event(tool_started=pb.ToolStarted(tool_call_id="1", name="Read"))
    assert handed_over([said("Let me see. ", last=False), tool, said(PLAN, last=False)]).plans == (PLAN,)


def test_a_command_prints_its_plan() -> None:
    """Its standard output counts, in pieces of any size; its standard error does not."""
    events = [printed(OTHER, pb.OUTPUT_STREAM_STDERR), *(printed(each) for each in PLAN)]
    assert handed_over(events) == Handover((PLAN,))
    assert handed_over([printed("sorry", pb.OUTPUT_STREAM_STDERR)]) == Handover()
    assert handed_over([said("I cannot."), said("Sorry.")]) == Handover(reasons="Sorry.")
