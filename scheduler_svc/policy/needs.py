"""Whether the tasks that a task needs are accepted. Part of the policy; pure."""

from heddle import pb
from heddle.names import TaskName
from heddle.plan.graphs.task_graph import EpicTasks
from scheduler_svc.policy.snapshot import RunView, TaskView


class Needs:
    """The needs between the tasks of a run."""

    def __init__(self, run: RunView) -> None:
        self.exist = any(task.needs for epic in run.epics for task in epic.tasks)
        self._tasks: dict[TaskName, TaskView] = (
            {task.name: task for epic in run.epics for task in epic.tasks} if self.exist else {}
        )

    def met(self, task: TaskView) -> bool:
        """Returns whether all tasks that `task` needs are accepted, or were skipped by the operator."""
        return all(self._is_met(name) for name in task.needs)

    def lost(self, task: TaskView) -> TaskName | None:
        """Returns a task that `task` needs and that will not be accepted; None if there is none."""
        return next((name for name in task.needs if self._is_lost(name)), None)

    def _is_met(self, name: TaskName) -> bool:
        task = self._tasks.get(name)
        return task is not None and (
            task.state == pb.TASK_STATE_ACCEPTED or (task.state == pb.TASK_STATE_SKIPPED and task.waived)
        )

    def _is_lost(self, name: TaskName) -> bool:
        task = self._tasks.get(name)
        return task is None or (
            task.state in {pb.TASK_STATE_FAILED, pb.TASK_STATE_SKIPPED} and not self._is_met(name)
        )


def epic_tasks(run: RunView) -> list[EpicTasks]:
    """Returns the epics of a run with their tasks and what these wait for."""
    return [
        EpicTasks(
            epic.name.epic,
            [(task.name.task, [f"{need.epic}/{need.task}" for need in task.needs]) for task in epic.tasks],
            epic.depends_on,
        )
        for epic in run.epics
    ]
