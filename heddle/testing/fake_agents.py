"""An AgentService without agents: each session runs a coroutine that the test provides."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc

from heddle import errors, pb
from heddle.names import AttemptName
from heddle.testing.fake_session import FakeSession, Play, fail_setup
from heddle.testing.fake_state import FakeState
from heddle.v1.agent_service_pb2_grpc import AgentServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]

# Events in one message of a watch.
_BATCH: Final = 200


class FakeAgents(AgentServiceServicer):
    """Runs the sessions of its worker's state."""

    def __init__(self, worker: FakeState) -> None:
        self._worker = worker
        self._playing: set[asyncio.Task[None]] = set()

    async def drain(self) -> None:
        """Cancels running sessions without emitting events."""
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

    async def OpenTerminal(
        self, requests: AsyncIterator[pb.AgentServiceOpenTerminalRequest], context: Context
    ) -> AsyncIterator[pb.AgentServiceOpenTerminalResponse]:
        async for request in requests:
            yield pb.AgentServiceOpenTerminalResponse(output=request.input)

    async def FetchArtifact(
        self, request: pb.FetchArtifactRequest, context: Context
    ) -> AsyncIterator[pb.FetchArtifactResponse]:
        self._worker.before("FetchArtifact", request)
        artifacts = self._session(request.attempt).artifacts
        data = artifacts.get(request.artifact, b"bytes of " + request.artifact.encode())
        yield pb.FetchArtifactResponse(data=data)

    async def ReleaseSession(
        self, request: pb.ReleaseSessionRequest, context: Context
    ) -> pb.ReleaseSessionResponse:
        return pb.ReleaseSessionResponse()

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
        if request.epoch:
            self._worker.check_epoch(request.epoch)
        late, live = pb.USAGE_REPORTS_LATE, pb.USAGE_REPORTS_LIVE
        agents = [
            pb.AgentProgram(
                name=name,
                available=True,
                usage_reports=late if name in self._worker.late_programs else live,
                holds_max_turns=name in self._worker.turn_limited_programs,
            )
            for name in self._worker.programs
        ]
        running = len(self._worker.live)
        worker = pb.Worker(
            name="workers/fake",
            slots=self._worker.slots,
            running_sessions=running,
            agents=agents,
            full=self._worker.full,
            terminals=self._worker.terminals,
        )
        return pb.GetWorkerResponse(worker=worker)

    def _session(self, attempt: str) -> FakeSession:
        session = self._worker.sessions.get(attempt)
        if session is None:
            raise errors.not_found(attempt)
        return session
