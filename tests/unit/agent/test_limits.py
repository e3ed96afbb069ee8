"""Limits of sessions and of what agents report, at their value and one beyond."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from agent_svc.agents.base.host import AgentFailedError, Host
from agent_svc.agents.base.revival import KilledError, revived
from agent_svc.agents.claude import own_folder
from agent_svc.agents.claude.messages import rate_limits, usage
from agent_svc.agents.codex import project_config
from agent_svc.agents.codex.home import CodexHome
from agent_svc.log.event_log import EventLog
from agent_svc.log.recorder import Recorder
from agent_svc.reports import image_header
from agent_svc.sandbox.carried_files import Copier, TooMuchError
from agent_svc.sessions.setup_commands import Report
from heddle import pb


@pytest.mark.parametrize(("length", "kept"), [(200, "-" + "x" * 199), (201, "-" + "x" * 199 + "-*")])
def test_length_of_claudes_name_of_a_project(length: int, kept: str) -> None:
    """Claude keeps 200 characters of a folder's path, and adds a hash to a longer one."""
    assert own_folder.records("s1", Path("/" + "x" * (length - 1))) == (
        f"projects/{kept}/s1.jsonl",
        f"projects/{kept}/s1/",
        "tasks/s1/",
    )


@pytest.mark.parametrize(("size", "kept"), [(32 << 10, 32 << 10), ((32 << 10) + 1, 32 << 10)])
def test_size_of_instructions(tmp_path: Path, size: int, kept: int) -> None:
    """Codex gets the first 32 KiB of a repository's instructions."""
    (tmp_path / "AGENTS.md").write_text("x" * size)
    home = cast("CodexHome", SimpleNamespace(trusted=frozenset({str(tmp_path)})))
    told = project_config.instructions(home, tmp_path, frozenset())
    assert told == f"# AGENTS.md instructions for {tmp_path}\n\n{'x' * kept}"


@pytest.mark.parametrize(
    ("moment", "ends_at"),
    [(0, None), (1, 1.0), (4_102_444_799, 4_102_444_799.0), (4_102_444_800, None), (1_800_000_000_000, None)],
)
def test_time_of_the_end_of_a_rate_limit(moment: int, ends_at: float | None) -> None:
    """A time is in seconds; one from 2100 on, such as one in milliseconds, is not believed."""
    found = rate_limits.rate_limit({"status": "rejected", "resetsAt": moment})
    assert found == rate_limits.RateLimit(reached=True, kind="rate limit", ends_at=ends_at)


@pytest.mark.parametrize("length", [2047, 2048, 2049])
def test_length_of_the_output_of_a_failed_setup(length: int) -> None:
    """The reason has the last 2 KiB of the output."""
    output = "x" * (length - 1) + "!"
    said = Report(command="make", exit_code=2, output=output).reason("the setup")
    assert said == f"the setup: command 'make' failed with exit code 2:\n{output[-2048:]}"


@pytest.mark.parametrize(("place", "named"), [(100, True), (101, False)])
def test_number_of_sub_agents_calls_that_wait(place: int, named: bool) -> None:
    """A hundred calls are told apart until their usage is reported; a further one is not."""
    calls = usage.SubAgentCalls()
    for number in range(1, place + 1):
        calls.take(f"agent {number}", f"message {number}", pb.Usage(input_tokens=1000 + number))
    report = pb.Event(usage=pb.Usage(input_tokens=1000 + place))
    calls.name([report])
    assert report.usage.parent_tool_call_id == (f"agent {place}" if named else "")


@pytest.mark.parametrize(("deaths", "fails"), [(2, False), (3, True)])
async def test_number_of_restarts_of_an_agent(deaths: int, fails: bool) -> None:
    """A killed agent is started again twice; each time, it resumes its session."""
    resumed: list[str] = []
    host = SimpleNamespace(resume="", session=SimpleNamespace(files_kept=False), note=lambda _: None)

    async def hold(resume: str) -> None:
        resumed.append(resume)
        if len(resumed) <= deaths:
            raise KilledError("it was killed", f"session {len(resumed)}")

    if fails:
        with pytest.raises(AgentFailedError, match="it was killed, 3 times"):
            await revived(cast("Host", host), hold)
    else:
        await revived(cast("Host", host), hold)
    assert resumed == ["", "session 1", "session 2"]


@pytest.mark.parametrize(("markers", "size"), [(9_999, (640, 360)), (10_000, (0, 0))])
def test_number_of_markers_of_a_picture(markers: int, size: tuple[int, int]) -> None:
    """The frame header of a JPEG is among its first 10,000 markers, or the picture has no size."""
    frame = b"\xff\xc0\x00\x0b\x08" + (360).to_bytes(2) + (640).to_bytes(2)
    # The first marker begins the file.
    picture = b"\xff\xd8" + b"\xff\xd0" * markers + frame + b"\xff\xd9"
    assert image_header.dimensions(picture) == size


@pytest.mark.parametrize(("depth", "copied"), [(8, True), (9, False)])
def test_depth_of_a_carried_file(tmp_path: Path, depth: int, copied: bool) -> None:
    """A file is carried if its path has at most eight parts."""
    source, target = tmp_path / "source", tmp_path / "target"
    file = Path(*["d"] * (depth - 1), "file")
    (source / file).parent.mkdir(parents=True)
    (source / file).write_text("x")
    Copier(["d/"]).copy(source, target)
    assert (target / file).exists() == copied


@pytest.mark.parametrize("counted", ["_files", "_bytes"])
def test_number_and_size_of_carried_files(tmp_path: Path, counted: str) -> None:
    """The last file and the last byte are still carried; one more is an error that names both limits."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a", "b"):
        (source / name).write_text("x")
    copier = Copier(["*"])
    assert (copier._files, copier._bytes) == (10_000, 512 << 20)
    setattr(copier, counted, 2)
    copier.copy(source, tmp_path / "both")
    assert sorted(each.name for each in (tmp_path / "both").iterdir()) == ["a", "b"]
    setattr(copier, counted, 1)
    with pytest.raises(TooMuchError, match="more than 512 MiB or 10000 files"):
        copier.copy(source, tmp_path / "one")


@pytest.mark.parametrize(("beyond", "written"), [(0, 0), (1, 1)])
async def test_size_of_what_waits_for_the_disk(tmp_path: Path, beyond: int, written: int) -> None:
    """Up to 1 MiB of text waits for more; with one byte more, the caller waits until it is on disk."""
    event = pb.Event(actor="agent:a", message=pb.Message(kind=pb.MESSAGE_KIND_TEXT, text="x" * 1_000_000))
    event.message.text += "x" * ((1 << 20) + beyond - event.ByteSize())
    assert event.ByteSize() == (1 << 20) + beyond
    recorder = Recorder(EventLog.open(tmp_path / "log"))
    await recorder.record(event)
    assert recorder.last_sequence == written
    await recorder.finish(pb.Event(actor="agent:a", usage=pb.Usage(model="m")))
    recorder.close()
