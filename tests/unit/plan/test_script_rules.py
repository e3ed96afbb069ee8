"""Which steps of a script are valid."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.plan.validation import script_rules

Step = pb.ScriptStep


def usage(**fields: int) -> pb.ScriptStep:
    return Step(usage=Step.ReportUsage(model="m", **fields))


@pytest.mark.parametrize(
    ("step", "field"),
    [
        (Step(), ""),
        (Step(write=Step.WriteFile(path="/etc/x")), ".write.path"),
        (Step(edit=Step.EditFile(path="../x", find="a")), ".edit.path"),
        (Step(edit=Step.EditFile(path="x")), ".edit.find"),
        (Step(run=Step.RunCommand(command=" ")), ".run.command"),
        (Step(usage=Step.ReportUsage(model=" ")), ".usage.model"),
        (usage(input_tokens=-1), ".usage.input_tokens"),
        (Step(ask=Step.Ask(question=" ")), ".ask.question"),
        (Step(wait=Step.Wait(duration=Duration())), ".wait.duration"),
        (Step(fail=Step.Fail(attempts=-1)), ".fail.attempts"),
        (Step(flood=Step.Flood(lines=0)), ".flood.lines"),
        (Step(flood=Step.Flood(lines=10_000_001)), ".flood.lines"),
        (Step(flood=Step.Flood(lines=1, width=-1)), ".flood.width"),
        (Step(flood=Step.Flood(lines=1, width=1_048_577)), ".flood.width"),
        (Step(plan=Step.Plan()), ".plan.steps"),
        (Step(plan=Step.Plan(steps=["a", " "])), ".plan.steps"),
        (Step(plan=Step.Plan(steps=["a"], done=-1)), ".plan.done"),
        (Step(plan=Step.Plan(steps=["a"], done=2)), ".plan.done"),
    ],
)
def test_an_invalid_step_names_its_field(step: Any, field: str) -> None:
    """Each step has one error here, with the path of the value."""
    assert [each.field for each in script_rules.step("s", step)] == [f"s{field}"]


@pytest.mark.parametrize(
    "step",
    [
        Step(say=Step.Say(text="")),
        Step(write=Step.WriteFile(path="a")),
        Step(edit=Step.EditFile(path="a", find="b")),
        Step(run=Step.RunCommand(command="make")),
        usage(input_tokens=0, output_tokens=1, cost_usd_micros=0),
        Step(ask=Step.Ask(question="May I?")),
        Step(wait=Step.Wait(duration=Duration(nanos=1))),
        Step(fail=Step.Fail(attempts=0)),
        Step(flood=Step.Flood(lines=1)),
        Step(flood=Step.Flood(lines=10_000_000, width=1_048_576)),
        Step(plan=Step.Plan(steps=["a"], done=0)),
        Step(plan=Step.Plan(steps=["a"], done=1)),
    ],
)
def test_limits_are_valid(step: Any) -> None:
    """A value at its limit is no error."""
    assert [*script_rules.step("s", step)] == []
