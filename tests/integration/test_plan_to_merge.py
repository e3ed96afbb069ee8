"""A plan on a real repository with real services, git and agent processes."""

from collections import defaultdict
from pathlib import Path

import pytest

from heddle import pb
from heddle.client import HeddleClient
from tests.support.fleet import running_fleet
from tests.support.repositories import git, make_repository

EPICS = ("api", "web")
TASKS = ("one", "two", "three")

# An agent that writes its file only once the other epic has reached the same task: if epics ran one
# after the other, every attempt would give up.
AGENT = """
import os, pathlib, sys, time
meeting = pathlib.Path(sys.argv[1])
epic, task = os.environ["HEDDLE_EPIC"], os.environ["HEDDLE_TASK"]
assert os.environ["HEDDLE_PROMPT"] == sys.stdin.read() == f"Do {task}"
(meeting / f"{epic}-{task}").touch()
deadline = time.monotonic() + 60
while len(list(meeting.glob(f"*-{task}"))) < 2:
    if time.monotonic() > deadline:
        sys.exit("the other epic never came")
    time.sleep(0.02)
folder = pathlib.Path(epic)
folder.mkdir(exist_ok=True)
(folder / f"{task}.txt").write_text(" ".join(sorted(p.stem for p in folder.iterdir())))
print(f"{epic} {task} is written")
"""


def plan(agent: Path, meeting: Path) -> pb.Plan:
    return pb.Plan(
        name="Two epics",
        defaults=pb.TaskDefaults(agent=f"command:python3 {agent} {meeting}"),
        epics=[
            pb.PlanEpic(
                key=epic,
                tasks=[
                    pb.PlanTask(
                        key=task,
                        prompt=f"Do {task}",
                        checks=[pb.Check(name="written", run=f"test -f {epic}/{task}.txt")],
                    )
                    for task in TASKS
                ],
            )
            for epic in EPICS
        ],
    )


async def whole_run(client: HeddleClient, run: str) -> list[pb.Event]:
    events = [event async for response in client.watch_run(run) for event in response.events]
    assert events[-1].WhichOneof("payload") == "run_finished"
    return events


@pytest.mark.timeout(180)
async def test_two_epics_of_three_tasks(tmp_path: Path) -> None:
    """Tasks are committed in order within an epic, epics overlap in time, and the run's branch contains all."""
    repository = make_repository(tmp_path / "repository")
    before = (git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD"))
    (meeting := tmp_path / "meeting").mkdir()
    agent = tmp_path / "meeting" / "agent.py"
    agent.write_text(AGENT)
    writable = {"HEDDLE_SANDBOX_WRITABLE": str(meeting)}

    async with running_fleet(tmp_path / "home", writable) as fleet, fleet.client() as client:
        run = await client.create_run(pb.CreateRunRequest(plan=plan(agent, meeting), project=str(repository)))
        events = await whole_run(client, run.name)
        ended = await client.get_run(run.name)

    assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))

    key = run.name.removeprefix("runs/")
    for epic in EPICS:
        branch = f"heddle/{key}/epics/{epic}"
        trailers = "%(trailers:key=Heddle-Task,valueonly,separator=%x2C)"
        log = git(repository, "log", "--first-parent", "--reverse", f"--format={trailers}", f"main..{branch}")
        assert log.splitlines() == list(TASKS)
        # Each task found the files of the tasks before it.
        last = git(repository, "show", f"{branch}:{epic}/three.txt")
        assert last == "one two"

    files = git(repository, "ls-tree", "-r", "--name-only", f"heddle/{key}/merged").splitlines()
    assert files == ["README.md", *sorted(f"{epic}/{task}.txt" for epic in EPICS for task in TASKS)]

    spans = session_spans(events)
    for task in TASKS:
        (api_start, api_end), (web_start, web_end) = (spans[epic, task] for epic in EPICS)
        assert max(api_start, web_start) < min(api_end, web_end), f"{task} did not overlap"
    for epic in EPICS:
        ends_and_starts = [moment for task in TASKS for moment in spans[epic, task]]
        assert ends_and_starts == sorted(ends_and_starts), f"tasks of {epic} overlap"

    assert before == (git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD"))


def session_spans(events: list[pb.Event]) -> dict[tuple[str, str], tuple[int, int]]:
    """Returns the start and end of each session by (epic, task), in nanoseconds."""
    moments: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in events:
        if event.WhichOneof("payload") in {"session_started", "session_finished"}:
            moments[event.epic, event.task].append(event.time.ToNanoseconds())
    return {key: (start, end) for key, (start, end) in moments.items()}
