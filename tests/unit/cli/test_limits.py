"""Limits of the command at their value and one beyond."""

import asyncio
from pathlib import Path

import pytest

from heddle import pb
from heddle.cli.admin.service_log import ServiceLog
from heddle.cli.plans import plan_file
from heddle.plan import file
from heddle.plan.file import LoadedPlan


@pytest.mark.parametrize(("beyond", "lengths"), [(0, [2 * (64 << 10)]), (1, [2 * (64 << 10), 1])])
async def test_output_without_line_ends_is_split(tmp_path: Path, beyond: int, lengths: list[int]) -> None:
    """What a service writes is read in parts of 64 KiB, and no line is longer than two of them."""
    log = ServiceLog("agent", tmp_path / "agent.log", print)
    stream = asyncio.StreamReader()
    stream.feed_data(b"x" * (2 * (64 << 10) + beyond))
    stream.feed_eof()
    await log.read(stream)
    log.close()
    assert [len(line) for line in log.last_lines] == lengths


@pytest.mark.parametrize(("beyond", "sent"), [(0, True), (1, False)])
def test_the_text_of_a_plan_is_sent_if_it_fits(
    monkeypatch: pytest.MonkeyPatch, beyond: int, sent: bool
) -> None:
    """A plan and its text have at most 3,900,000 bytes together; of a larger one only the plan is sent."""
    plan = pb.Plan(name="ä" * 40)
    text = "ä" * ((3_900_000 - plan.ByteSize()) // 2) + "x" * (plan.ByteSize() % 2 + beyond)
    assert len(text.encode()) + plan.ByteSize() == 3_900_000 + beyond
    monkeypatch.setattr(file, "load", lambda *_: LoadedPlan("plan.yaml", plan, text=text))
    assert plan_file.read_with_text(Path("plan.yaml")).text == (text if sent else "")
