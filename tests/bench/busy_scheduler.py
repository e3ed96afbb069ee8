"""A scheduler whose one run is as busy as requested: the web app cannot distinguish it from a real one.

It answers the calls of a board and a modal, and sends summaries of its sessions at a
given rate. Each summary's last line ends in the time at which it was sent, so that
a browser can compute its age when it appears on the page.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from heddle import pb
from heddle.names import AttemptName, EpicName, RunName
from heddle.timing.clock import utc_now
from tests.support.fake_scheduler import FakeScheduler

RUN: Final = RunName("busy-1")

# Seconds between two answers of a watch, as with the real scheduler under load.
_TICK: Final = 0.05

_AGENT: Final = "claude"

# The points that a card draws for three minutes.
_ACTIVITY: Final = [number * 7 % 40 for number in range(35)]

# Lines of output in one event of the long log, as agents write them.
_LINES_IN_EVENT: Final = 20


def attempt_of(number: int) -> AttemptName:
    """Returns the live attempt of the session with this number, from 0."""
    return EpicName(RUN.run, f"epic-{number:04}").task("work").attempt(1)


class BusyScheduler(FakeScheduler):
    """One run with `sessions` live sessions; `rate` summaries a second in total.

    Every session's log has `log_lines` lines of output.
    """

    def __init__(self, sessions: int, rate: float, log_lines: int = 0) -> None:
        super().__init__()
        self._sessions = sessions
        self._rate = rate
        self._log_events = log_lines // _LINES_IN_EVENT
        self._counts = itertools.count(1)

    async def GetRun(self, request: pb.GetRunRequest, context: Any) -> pb.GetRunResponse:
        return pb.GetRunResponse(run=self.run())

    async def WatchRuns(
        self, request: pb.WatchRunsRequest, context: Any
    ) -> AsyncIterator[pb.WatchRunsResponse]:
        yield pb.WatchRunsResponse(runs=[self.run()], complete=True)
        await asyncio.Event().wait()

    async def ListApprovals(self, request: pb.ListApprovalsRequest, context: Any) -> pb.ListApprovalsResponse:
        return pb.ListApprovalsResponse()

    async def ListHolds(self, request: pb.ListHoldsRequest, context: Any) -> pb.ListHoldsResponse:
        return pb.ListHoldsResponse()

    async def ListWorkers(self, request: pb.ListWorkersRequest, context: Any) -> pb.ListWorkersResponse:
        worker = pb.Worker(name="workers/local", slots=self._sessions, connected=True)
        return pb.ListWorkersResponse(workers=[worker])

    async def ListTasks(self, request: pb.ListTasksRequest, context: Any) -> pb.ListTasksResponse:
        return pb.ListTasksResponse(tasks=[self._task(EpicName.parse(request.parent))])

    async def ListAttempts(self, request: pb.ListAttemptsRequest, context: Any) -> pb.ListAttemptsResponse:
        epic = EpicName.parse("/".join(request.parent.split("/")[:4]))
        return pb.ListAttemptsResponse(attempts=[self._attempt(epic)])

    async def GetAttempt(self, request: pb.GetAttemptRequest, context: Any) -> pb.GetAttemptResponse:
        epic = AttemptName.parse(request.name).parent.parent
        return pb.GetAttemptResponse(attempt=self._attempt(epic))

    async def WatchRun(self, request: pb.WatchRunRequest, context: Any) -> AsyncIterator[pb.WatchRunResponse]:
        epics = [attempt_of(number).parent.parent for number in range(self._sessions)]
        yield pb.WatchRunResponse(
            run=self.run(),
            epics=[self._epic(name, place) for place, name in enumerate(epics)],
            tasks=[self._task(name) for name in epics],
            resume_sequence=1,
        )
        turns = itertools.cycle(range(self._sessions))
        due = time.monotonic()
        while True:
            due += _TICK
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            now = [self._summary(next(turns)) for _ in range(max(1, round(self._rate * _TICK)))]
            yield pb.WatchRunResponse(summaries=now, resume_sequence=1)

    async def ListSessionEvents(
        self, request: pb.ListSessionEventsRequest, context: Any
    ) -> pb.ListSessionEventsResponse:
        size = min(request.page_size or 500, 5000)
        if request.before_sequence:
            end = min(request.before_sequence - 1, self._log_events)
            first = max(1, end - size + 1)
            more = first > 1
        else:
            first = request.after_sequence + 1
            end = min(first + size - 1, self._log_events)
            more = end < self._log_events
        events = [self._output(request.parent, sequence) for sequence in range(first, end + 1)]
        return pb.ListSessionEventsResponse(events=events, more=more, last_sequence=self._log_events)

    async def WatchSession(
        self, request: pb.WatchSessionRequest, context: Any
    ) -> AsyncIterator[pb.WatchSessionResponse]:
        yield pb.WatchSessionResponse(resume_sequence=self._log_events)
        await asyncio.Event().wait()

    def run(self) -> pb.Run:
        """Returns the run, which never ends."""
        run = pb.Run(
            name=str(RUN),
            title="A busy day",
            state=pb.RUN_STATE_RUNNING,
            project="/srv/project",
            base_ref="main",
            branch=RUN.branch,
            max_parallel=self._sessions,
            epic_count=self._sessions,
            tasks=pb.TaskCounts(total=self._sessions, running=self._sessions),
            sequence=1,
        )
        run.start_time.FromDatetime(utc_now())
        run.create_time.FromDatetime(utc_now())
        return run

    def _epic(self, name: EpicName, place: int) -> pb.Epic:
        return pb.Epic(
            name=str(name),
            key=name.epic,
            title=f"Epic {place + 1}",
            index=place,
            state=pb.EPIC_STATE_RUNNING,
            branch=name.branch,
            tasks=pb.TaskCounts(total=1, running=1),
        )

    def _task(self, epic: EpicName) -> pb.Task:
        return pb.Task(
            name=str(epic.task("work")),
            key="work",
            title=f"Work of {epic.epic}",
            position=1,
            state=pb.TASK_STATE_RUNNING,
            agent=_AGENT,
            attempt_count=1,
            latest_attempt=self._attempt(epic),
        )

    def _attempt(self, epic: EpicName) -> pb.Attempt:
        attempt = pb.Attempt(
            name=str(epic.task("work").attempt(1)),
            state=pb.ATTEMPT_STATE_RUNNING,
            worker="local",
            agent=_AGENT,
            session_sequence=self._log_events,
        )
        attempt.start_time.FromDatetime(utc_now())
        return attempt

    def _summary(self, number: int) -> pb.SessionSummary:
        count = next(self._counts)
        summary = pb.SessionSummary(
            attempt=str(attempt_of(number)),
            state=pb.ATTEMPT_STATE_RUNNING,
            current_tool=pb.ToolStarted(
                tool_call_id=str(count),
                name="Edit",
                target=f"src/part_{count % 97}.py",
                kind=pb.TOOL_KIND_EDIT,
            ),
            last_lines=["Reading the file.", f"step {count} sent={time.time() * 1000:.1f}"],
            tool_calls=count,
            activity=[*_ACTIVITY, count % 40],
        )
        summary.last_activity_time.FromDatetime(utc_now())
        return summary

    def _output(self, attempt: str, sequence: int) -> pb.Event:
        first = (sequence - 1) * _LINES_IN_EVENT
        text = "".join(
            f"line {first + place}: compiled src/part_{place}.py without a warning\n"
            for place in range(_LINES_IN_EVENT)
        )
        event = pb.Event(
            run=str(RUN), sequence=sequence, output=pb.Output(stream=pb.OUTPUT_STREAM_STDOUT, text=text)
        )
        event.epic = AttemptName.parse(attempt).epic
        event.time.FromDatetime(utc_now())
        return event
