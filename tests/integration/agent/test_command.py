from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from heddle import pb
from tests.support.agents import Agents, agents, ending, kinds, output, payloads


@pytest_asyncio.fixture(name="worker")
async def _worker(tmp_path: Path) -> AsyncIterator[Agents]:
    async with agents(tmp_path) as worker:
        yield worker


async def test_prompt_comes_twice(worker: Agents) -> None:
    """A command receives its prompt on standard input and in HEDDLE_PROMPT."""
    events = await worker.run('command:cat; echo; echo "$HEDDLE_PROMPT"; cat < /dev/null', prompt="Tell\nme")
    assert output(events) == "Tell\nme\nTell\nme\n"
    assert ending(events) == ("SUCCEEDED", "")


async def test_long_prompt_comes_on_standard_input(worker: Agents) -> None:
    """A prompt too long for an environment variable comes only on standard input, and the log says so."""
    events = await worker.run('command:wc -c; echo "[$HEDDLE_PROMPT]"', prompt="x" * 500_000)
    assert output(events).split() == ["500000", "[]"]
    assert "too long for HEDDLE_PROMPT" in output(events, pb.OUTPUT_STREAM_SYSTEM)


async def test_both_streams_are_told_apart(worker: Agents) -> None:
    """Each output event names its stream: standard output or standard error."""
    events = await worker.run("command:echo out; echo err >&2")
    assert (output(events), output(events, pb.OUTPUT_STREAM_STDERR)) == ("out\n", "err\n")


@pytest.mark.parametrize(
    ("command", "outcome", "reason"),
    [
        ("exit 0", "SUCCEEDED", ""),
        ("exit 3", "FAILED", "the agent exited with code 3"),
        ("kill -15 $$", "FAILED", "the agent was ended by SIGTERM"),
        ("no-such-program-here", "FAILED", "the agent exited with code 127"),
    ],
)
async def test_exit_code_is_the_outcome(worker: Agents, command: str, outcome: str, reason: str) -> None:
    """The exit code of the command determines the session's outcome."""
    assert ending(await worker.run(f"command:{command}")) == (outcome, reason)


async def test_bytes_that_are_no_text(worker: Agents) -> None:
    """Bytes that are not UTF-8 become U+FFFD; a character split across two writes is preserved."""
    attempt = await worker.start(
        r"command:printf 'a\377b\303'; until test -e go; do sleep 0.02; done; printf '\244!\n'"
    )
    await worker.until_says(attempt, "b")
    (worker.worktree / "go").touch()
    assert output(await worker.events(attempt)) == "a\ufffdbä!\n"


async def test_long_line_is_split(worker: Agents) -> None:
    """A line of 5 MB arrives complete, in events of at most 32 KiB."""
    events = await worker.run("command:head -c 5000000 /dev/zero | tr '\\0' x")
    assert output(events) == "x" * 5_000_000
    assert max(len(event.output.text) for event in payloads(events, "output")) <= 32 << 10


async def test_agent_starts_in_the_worktree(worker: Agents) -> None:
    """The working directory is the worktree."""
    assert output(await worker.run("command:pwd")) == f"{worker.worktree}\n"


async def test_checks_all_run(worker: Agents) -> None:
    """All checks run, even after one fails; the reason names the failed ones."""
    checks = {"lint": "echo bad; exit 1", "tests": "echo good", "types": "exit 2"}
    events = await worker.run("command:true", checks=checks)
    reports = [event.check_finished for event in payloads(events, "check_finished")]
    assert [(report.name, report.ok, report.exit_code) for report in reports] == [
        ("lint", False, 1),
        ("tests", True, 0),
        ("types", False, 2),
    ]
    assert reports[0].output == "bad\n"
    assert all(report.HasField("duration") for report in reports)
    assert ending(events) == (
        "FAILED",
        "check 'lint' failed with exit code 1; check 'types' failed with exit code 2",
    )


async def test_no_checks_after_failed_agent(worker: Agents) -> None:
    """Checks run only if the agent succeeded."""
    assert "check_finished" not in kinds(await worker.run("command:false", checks={"tests": "true"}))


async def test_check_keeps_the_end_of_its_output(worker: Agents) -> None:
    """A check's report contains the last 64 KiB of its two streams."""
    events = await worker.run(
        "command:true", checks={"long": "head -c 200000 /dev/zero | tr '\\0' x; echo end >&2"}
    )
    (report,) = payloads(events, "check_finished")
    assert report.check_finished.output.endswith("xend\n")
    assert len(report.check_finished.output) == 64 << 10


async def test_check_counts_tests(worker: Agents) -> None:
    """Tests are counted only from JUnit files that the check itself wrote, not from older ones."""
    report = (
        '<testsuites><testsuite name="s"><testcase name="a"/><testcase name="b"><failure/></testcase>'
        '<testcase name="c"><skipped/></testcase><testcase name="d"><error/></testcase></testsuite></testsuites>'
    )
    (worker.worktree / "report.txt").write_text(report)
    checks = {"tests": "mkdir -p out && cp report.txt out/junit.xml && exit 1", "none": "true"}
    events = await worker.run("command:sleep 0.1", checks=checks)
    first, second = (event.check_finished for event in payloads(events, "check_finished"))
    assert (first.tests.passed, first.tests.failed, first.tests.skipped) == (1, 2, 1)
    assert not second.HasField("tests")


async def test_worktree_that_is_gone(tmp_path: Path) -> None:
    """If the agent removes its worktree, its checks fail with a reason and the service is not affected."""
    async with agents(tmp_path, HEDDLE_SANDBOX="off") as worker:
        events = await worker.run(f"command:rm -rf {worker.worktree}", checks={"tests": "true"})
    outcome, reason = ending(events)
    assert outcome == "FAILED"
    assert "tests" in reason


async def test_agent_sees_only_what_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent and its check see only allowed variables, and neither secrets nor the supervisor's memory."""
    monkeypatch.setenv("CANARY_SECRET", "canary-3b1f")
    monkeypatch.setenv("WANTED", "wanted-value")
    monkeypatch.setenv("LC_TIME", "C")
    look = "env; tr '\\0' '\\n' < /proc/$PPID/environ; true"
    async with agents(tmp_path, HEDDLE_AGENT_ENV="WANTED") as worker:
        events = await worker.run(
            f"command:{look}", checks={"env": look}, environment={"ADDED": "added-value"}
        )
    for text in (output(events), payloads(events, "check_finished")[0].check_finished.output):
        assert "canary" not in text
        assert "WANTED=wanted-value\n" in text
        assert "ADDED=added-value\n" in text
        assert "LC_TIME=C\n" in text
        assert "\nPATH=" in text
    assert b"canary" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


async def test_private_temporary_folder(worker: Agents) -> None:
    """Each session has its own TMPDIR, which is removed afterwards."""
    events = await worker.run("command:touch $TMPDIR/x; echo $TMPDIR")
    folder = Path(output(events).strip())
    assert folder.is_relative_to(worker.worktree.parents[2])
    assert not folder.exists()
