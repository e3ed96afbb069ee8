"""The first answer of a watch."""

from heddle import pb
from tests.support.scheduler import Scheduler, make_plan


async def test_a_watch_from_the_beginning_opens_with_the_whole_run(scheduler: Scheduler) -> None:
    """Tasks without events of their own are sent with the event that created the run."""
    run = await scheduler.create(make_plan({"a": ["one", "two", "three"], "b": ["one"]}))
    epics: set[str] = set()
    tasks: set[str] = set()
    async for answer in scheduler.api.WatchRun(pb.WatchRunRequest(name=run)):
        epics |= {epic.key for epic in answer.epics}
        tasks |= {task.name for task in answer.tasks}
        if answer.events:
            break
    assert epics == {"a", "b"}
    expected = (("a", "one"), ("a", "two"), ("a", "three"), ("b", "one"))
    assert tasks == {f"{run}/epics/{epic}/tasks/{task}" for epic, task in expected}
