"""A worker in memory: AgentService and WorktreeService without agents, git or a disk.

It keeps the promises of both services that a scheduler builds upon: calls are
idempotent, an old epoch or attempt is refused, a watch resumes. What a session
does is a coroutine that the test gives.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from heddle import errors, pb
from heddle.names import AttemptName
from heddle.serving import Service
from heddle.testing.fake_session import FakeSession, Play, fail_setup, succeed
from heddle.testing.fake_worktrees import FakeWorktrees
from heddle.v1.agent_service_pb2_grpc import AgentServiceServicer, add_AgentServiceServicer_to_server
from heddle.v1.worktree_service_pb2_grpc import add_WorktreeServiceServicer_to_server

Context = grpc.aio.ServicerContext[Any, Any]

# Events in one message of a watch.
_BATCH: Final = 200


@dataclass
class FakeWorker:
    """The worker. Fields may be changed while it serves; `play` decides what sessions do."""

    slots: int = 8
    play: Play = succeed
    # The agents that it can start.
    programs: tuple[str, ...] = ("scripted", "command:")
    # Returned by InspectProject.
    dirty_files: list[str] = field(default_factory=list)
    project_file: pb.ProjectFile | None = None
    # What the teardown of an epic reports.
    teardown_end: pb.CheckFinished = field(default_factory=lambda: pb.CheckFinished(ok=True))
    # Keys of epics whose setup fails.
    failing_setups: set[str] = field(default_factory=set)
    # Branches whose merge conflicts.
    conflicting: set[str] = field(default_factory=set)
    # Says of the branches of an open merge whether the checks of a merge pass.
    merge_is_good: Callable[[list[str]], bool] = lambda _branches: True
    # What PredictConflicts answers, of the branches that it is asked about.
    foreseen: list[pb.ConflictingPair] = field(default_factory=list)
    # By the key of an epic: the paths that PredictConflicts says it has changed.
    written: dict[str, list[str]] = field(default_factory=dict)
    # Called with (method, request) before each call that changes something; may raise.
    before: Callable[[str, Any], None] = lambda _method, _request: None
    sessions: dict[str, FakeSession] = field(default_factory=dict)
    # Every request that was served, in order: (method, request).
    calls: list[tuple[str, Any]] = field(default_factory=list)
    # By epic's name.
    worktrees: dict[str, pb.Worktree] = field(default_factory=dict)
    # By branch: the commits on it, oldest first, each with the attempt that made it.
    commits: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    # By the attempt for which they were set aside: commits that were on its branch, oldest first.
    rewound: dict[str, list[str]] = field(default_factory=dict)
    # By target branch.
    merged: dict[str, list[str]] = field(default_factory=dict)
    # By run: the branches of its open merge.
    open_merges: dict[str, list[str]] = field(default_factory=dict)
    # Names of epics in whose worktrees something lies that was not accepted.
    dirty: set[str] = field(default_factory=set)
    # By epic's name: what is archived of its worktree.
    archived: dict[str, str] = field(default_factory=dict)
    # What each worktree, and each session, takes on the disk.
    worktree_bytes: int = 1 << 20
    session_bytes: int = 1 << 10
    # Why it takes no new work.
    full: str = ""
    # The most sessions that ran at the same time.
    peak: int = 0
    epoch: int = 0
    # How many worktrees were ever made.
    made: int = 0

    def service(self) -> Service:
        """Returns both services, to be served at one address."""
        agent, worktree = _Agent(self), FakeWorktrees(self)

        def register(server: grpc.aio.Server) -> None:
            add_AgentServiceServicer_to_server(agent, server)
            add_WorktreeServiceServicer_to_server(worktree, server)

        names = ["heddle.v1.AgentService", "heddle.v1.WorktreeService"]
        return Service(names=names, register=register, drain=agent.drain)

    @property
    def live(self) -> list[FakeSession]:
        """The sessions that run now."""
        return [session for session in self.sessions.values() if session.result is None]

    def called(self, method: str) -> list[Any]:
        """Returns the requests of one method, in order."""
        return [request for name, request in self.calls if name == method]

    def changing(self, method: str, request: Any) -> None:
        """Opens a call that changes something; raises STALE_EPOCH to a deposed leader."""
        self.calls.append((method, request))
        if request.epoch < self.epoch:
            raise errors.HeddleError(
                pb.ERROR_REASON_STALE_EPOCH, f"epoch {request.epoch} was replaced by {self.epoch}"
            )
        self.epoch = request.epoch
        self.before(method, request)

    def newest(self, attempt: AttemptName) -> None:
        """Raises STALE_ATTEMPT if a newer attempt of the task has a session."""
        following = str(attempt.parent.attempt(attempt.number + 1))
        if following in self.sessions:
            raise errors.HeddleError(pb.ERROR_REASON_STALE_ATTEMPT, f"{following} exists", attempt=following)


class _Agent(AgentServiceServicer):
    def __init__(self, worker: FakeWorker) -> None:
        self._worker = worker
        self._playing: set[asyncio.Task[None]] = set()

    async def drain(self) -> None:
        for task in self._playing:
            task.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)

    async def StartSession(
        self, request: pb.StartSessionRequest, context: Context
    ) -> pb.StartSessionResponse:
        worker = self._worker
        worker.changing("StartSession", request)
        worker.newest(AttemptName.parse(request.attempt))
        session = worker.sessions.get(request.attempt)
        if session is None:
            if len(worker.live) >= worker.slots:
                raise errors.HeddleError(pb.ERROR_REASON_NO_SLOT, "all slots are taken", slots=worker.slots)
            session = worker.sessions[request.attempt] = FakeSession(request)
            worker.peak = max(worker.peak, len(worker.live))
            fails = session.name.epic in worker.failing_setups
            play = worker.play if session.begin(setup_fails=fails) else fail_setup
            task = asyncio.create_task(self._run(session, play))
            self._playing.add(task)
            task.add_done_callback(self._playing.discard)
        return pb.StartSessionResponse(session=session.message())

    async def _run(self, session: FakeSession, play: Play) -> None:
        playing = asyncio.ensure_future(play(session))
        stopping = asyncio.ensure_future(session.stopping.wait())
        try:
            await asyncio.wait([playing, stopping], return_when=asyncio.FIRST_COMPLETED)
            outcome = pb.OUTCOME_PARKED if session.parked else pb.OUTCOME_STOPPED
            result = playing.result() if playing.done() else pb.SessionFinished(outcome=outcome)
        finally:
            playing.cancel()
            stopping.cancel()
        session.result = result
        session.emit(session_finished=result)
        session.ended.set()

    async def WatchSession(
        self, request: pb.AgentServiceWatchSessionRequest, context: Context
    ) -> AsyncIterator[pb.AgentServiceWatchSessionResponse]:
        session = self._session(request.attempt)
        after = request.after_sequence
        if after > len(session.events):
            raise errors.HeddleError(
                pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE, "the log is not that long", oldest=1
            )
        while True:
            events = session.events[after : after + _BATCH]
            if events:
                after = events[-1].sequence
                yield pb.AgentServiceWatchSessionResponse(events=events, resume_sequence=after)
            elif session.result:
                return
            else:
                await session.news()

    async def GetSession(self, request: pb.GetSessionRequest, context: Context) -> pb.GetSessionResponse:
        return pb.GetSessionResponse(session=self._session(request.attempt).message())

    async def ListSessions(
        self, request: pb.ListSessionsRequest, context: Context
    ) -> pb.ListSessionsResponse:
        chosen = self._worker.live if request.running_only else self._worker.sessions.values()
        return pb.ListSessionsResponse(sessions=[session.message() for session in chosen])

    async def StopSession(self, request: pb.StopSessionRequest, context: Context) -> pb.StopSessionResponse:
        self._worker.changing("StopSession", request)
        session = self._session(request.attempt)
        session.stopping.set()
        await session.ended.wait()
        return pb.StopSessionResponse(session=session.message())

    async def ParkSession(self, request: pb.ParkSessionRequest, context: Context) -> pb.ParkSessionResponse:
        self._worker.changing("ParkSession", request)
        session = self._session(request.attempt)
        session.park()
        await session.ended.wait()
        return pb.ParkSessionResponse(session=session.message())

    async def AnswerApproval(
        self, request: pb.AnswerApprovalRequest, context: Context
    ) -> pb.AnswerApprovalResponse:
        self._worker.changing("AnswerApproval", request)
        session = self._session(request.attempt)
        session.answer(request.approval_id, approved=request.approved)
        return pb.AnswerApprovalResponse()

    async def SendMessage(
        self, request: pb.AgentServiceSendMessageRequest, context: Context
    ) -> pb.AgentServiceSendMessageResponse:
        self._worker.changing("SendMessage", request)
        session = self._session(request.attempt)
        session.heard.setdefault(request.message_id, request.text)
        session.ring()
        return pb.AgentServiceSendMessageResponse()

    async def RunChecks(
        self, request: pb.RunChecksRequest, context: Context
    ) -> AsyncIterator[pb.RunChecksResponse]:
        self._worker.changing("RunChecks", request)
        if "/epics/" in request.resource:
            yield pb.RunChecksResponse(check=self._worker.teardown_end)
            return
        good = self._worker.merge_is_good(self._worker.open_merges[request.resource])
        for check in request.checks:
            report = pb.CheckFinished(name=check.name, command=check.run, ok=good, exit_code=int(not good))
            yield pb.RunChecksResponse(check=report)

    async def FetchArtifact(
        self, request: pb.FetchArtifactRequest, context: Context
    ) -> AsyncIterator[pb.FetchArtifactResponse]:
        self._session(request.attempt)
        yield pb.FetchArtifactResponse(data=b"bytes of " + request.artifact.encode())

    async def DeleteSessions(
        self, request: pb.DeleteSessionsRequest, context: Context
    ) -> pb.DeleteSessionsResponse:
        known = [attempt for attempt in request.attempts if attempt in self._worker.sessions]
        if not request.validate_only:
            self._worker.changing("DeleteSessions", request)
            for attempt in known:
                del self._worker.sessions[attempt]
        return pb.DeleteSessionsResponse(disk_bytes=len(known) * self._worker.session_bytes)

    async def GetWorker(self, request: pb.GetWorkerRequest, context: Context) -> pb.GetWorkerResponse:
        agents = [pb.AgentProgram(name=name, available=True) for name in self._worker.programs]
        running = len(self._worker.live)
        worker = pb.Worker(
            name="workers/fake",
            slots=self._worker.slots,
            running_sessions=running,
            agents=agents,
            full=self._worker.full,
        )
        return pb.GetWorkerResponse(worker=worker)

    def _session(self, attempt: str) -> FakeSession:
        session = self._worker.sessions.get(attempt)
        if session is None:
            raise errors.not_found(attempt)
        return session
