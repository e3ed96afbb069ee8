"""The state of one run for its viewers, and the changes since the last frame."""

from collections.abc import Iterable

from heddle import pb
from heddle.events.kinds import TASK_STATES
from heddle.names import EpicName, RunName
from ui_svc import views
from ui_svc.views import View


class Board:
    """Merges the answers of a run's watch; returns whole snapshots and small changes.

    Summaries change with each line of an agent; only a turn of a session concerns viewers who do not see its card.
    """

    def __init__(self, name: RunName, kept_from: int = 1) -> None:
        """`kept_from`: the oldest event that the run's log still contains."""
        self._name = name
        self._kept_from = kept_from
        # The newest event that this state includes.
        self.sequence = kept_from - 1
        self._run: View | None = None
        self._epics: dict[str, View] = {}
        self._tasks: dict[str, View] = {}
        # The summary of each task's newest attempt, by task.
        self._summaries: dict[str, View] = {}
        # When each task entered its state, in milliseconds.
        self._since: dict[str, int] = {}
        # Tasks that wait for the operator; they still do when their session is parked.
        self._waits: set[str] = set()
        self._run_changed = False
        self._changed_epics: set[str] = set()
        self._changed_tasks: set[str] = set()
        # Those that every viewer gets, and those that only viewers get who see the card; by task.
        self._notable: set[str] = set()
        self._changed_summaries: set[str] = set()

    def apply(self, response: pb.WatchRunResponse) -> None:
        """Applies an answer of the watch."""
        for event in response.events:
            self._note_turn(event)
        if response.HasField("run"):
            known = self._run["forecast"] if self._run else None
            self._run = views.run(response.run) | {"forecast": known}
            self._run_changed = True
        for epic in response.epics:
            self._epics[epic.name] = views.epic(epic)
            self._changed_epics.add(epic.name)
        for task in response.tasks:
            view = views.task(task)
            self._tasks[task.name] = view
            self._changed_tasks.add(task.name)
            if view["attempt"] is not None and view["attempt"]["summary"] is not None:
                self._take_summary(view["attempt"]["summary"])
        for summary in response.summaries:
            self._take_summary(views.summary(summary))
        self.sequence = max(self.sequence, response.resume_sequence)

    def take_forecast(self, forecast: View | None) -> None:
        """Applies a forecast; None means that there is no forecast."""
        if self._run is not None and self._run["forecast"] != forecast:
            self._run["forecast"] = forecast
            self._run_changed = True

    def snapshot(self) -> View:
        """Returns the whole state."""
        return {
            "sequence": self.sequence,
            "kept_from": self._kept_from,
            "run": self._run,
            "epics": list(self._epics.values()),
            "tasks": [self._task(name) for name in self._tasks],
            "summaries": list(self._summaries.values()),
        }

    def take_summaries(self) -> set[str]:
        """Returns the tasks of which other changes of the summary are due to whoever sees them; each change once."""
        changed, self._changed_summaries = self._changed_summaries, set()
        return changed

    def summaries_of(self, tasks: Iterable[str]) -> list[View]:
        """Returns the summaries of tasks, without those that have none."""
        return [self._summaries[task] for task in sorted(tasks) if task in self._summaries]

    def take_changes(self) -> View:
        """Returns the changes since the last call that every viewer gets; empty if there are none."""
        changes: View = {}
        if self._run_changed:
            changes["run"] = self._run
        if self._changed_epics:
            changes["epics"] = [self._epics[name] for name in self._changed_epics]
        if self._changed_tasks:
            changes["tasks"] = [self._task(name) for name in self._changed_tasks]
        if self._notable:
            changes["summaries"] = self.summaries_of(self._notable)
        if changes:
            changes["sequence"] = self.sequence
        self._run_changed = False
        self._changed_epics.clear()
        self._changed_tasks.clear()
        self._notable.clear()
        return changes

    def _take_summary(self, summary: View) -> None:
        task, _, number = summary["attempt"].rpartition("/attempts/")
        known = self._summaries.get(task)
        # A late summary of an older attempt must not replace a newer attempt's summary.
        if known is not None and int(known["attempt"].rpartition("/")[2]) > int(number):
            return
        self._summaries[task] = summary
        if _turn(known) != _turn(summary):
            self._notable.add(task)
        if task in self._notable:
            self._changed_summaries.discard(task)
        else:
            self._changed_summaries.add(task)

    def _task(self, name: str) -> View:
        return {**self._tasks[name], "since": self._since.get(name)}

    def _note_turn(self, event: pb.Event) -> None:
        if event.task and event.WhichOneof("payload") in TASK_STATES:
            name = str(EpicName(self._name.run, event.epic).task(event.task))
            waits = event.HasField("task_waiting") and not event.task_waiting.HasField("until")
            if not (waits and name in self._waits):
                self._since[name] = views.time(event, "time") or 0
            (self._waits.add if waits else self._waits.discard)(name)
            if name in self._tasks:
                self._changed_tasks.add(name)


def _turn(summary: View | None) -> object:
    """Returns what also matters of a session whose card is out of sight."""
    if summary is None:
        return None
    waiting = summary["waiting"]
    return summary["attempt"], summary["state"], waiting and waiting["id"], len(summary["background"])
