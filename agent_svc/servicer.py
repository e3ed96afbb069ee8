"""AgentService over gRPC: proto in, domain call, proto out."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, BinaryIO, Final

import grpc

from agent_svc.sessions.registry import Sessions
from agent_svc.sessions.standalone_checks import StandaloneChecks
from agent_svc.terminals.terminals import Terminals
from heddle import pb
from heddle.names import AttemptName
from heddle.v1 import agent_service_pb2_grpc as stubs

CHUNK: Final = 256 << 10

Context = grpc.aio.ServicerContext[Any, Any]


class AgentServicer(stubs.AgentServiceServicer):
    """See protos/heddle/v1/agent_service.proto."""

    def __init__(self, sessions: Sessions, checks: StandaloneChecks, terminals: Terminals) -> None:
        self._sessions = sessions
        self._checks = checks
        self._terminals = terminals

    async def StartSession(
        self, request: pb.StartSessionRequest, context: Context
    ) -> pb.StartSessionResponse:
        return pb.StartSessionResponse(session=await self._sessions.start(request))

    async def WatchSession(
        self, request: pb.AgentServiceWatchSessionRequest, context: Context
    ) -> AsyncIterator[pb.AgentServiceWatchSessionResponse]:
        name = AttemptName.parse(request.attempt)
        async for response in self._sessions.watch(name, request.after_sequence):
            yield response

    async def GetSession(self, request: pb.GetSessionRequest, context: Context) -> pb.GetSessionResponse:
        return pb.GetSessionResponse(session=await self._sessions.get(AttemptName.parse(request.attempt)))

    async def ListSessions(
        self, request: pb.ListSessionsRequest, context: Context
    ) -> pb.ListSessionsResponse:
        sessions, token = await self._sessions.page(
            running_only=request.running_only, size=request.page_size, token=request.page_token
        )
        return pb.ListSessionsResponse(sessions=sessions, next_page_token=token)

    async def StopSession(self, request: pb.StopSessionRequest, context: Context) -> pb.StopSessionResponse:
        grace = request.grace.ToNanoseconds() / 1e9 if request.HasField("grace") else None
        name = AttemptName.parse(request.attempt)
        session = await self._sessions.stop(name, request.epoch, request.reason, grace)
        return pb.StopSessionResponse(session=session)

    async def ParkSession(self, request: pb.ParkSessionRequest, context: Context) -> pb.ParkSessionResponse:
        session = await self._sessions.park(AttemptName.parse(request.attempt), request.epoch)
        return pb.ParkSessionResponse(session=session)

    async def AnswerApproval(
        self, request: pb.AnswerApprovalRequest, context: Context
    ) -> pb.AnswerApprovalResponse:
        resolved = pb.ApprovalResolved(
            approval_id=request.approval_id,
            approved=request.approved,
            message=request.message,
            scope=request.scope,
            rule=request.rule,
        )
        await self._sessions.answer(
            AttemptName.parse(request.attempt), request.epoch, resolved, request.actor
        )
        return pb.AnswerApprovalResponse()

    async def SendMessage(
        self, request: pb.AgentServiceSendMessageRequest, context: Context
    ) -> pb.AgentServiceSendMessageResponse:
        await self._sessions.send(AttemptName.parse(request.attempt), request)
        return pb.AgentServiceSendMessageResponse()

    async def RunChecks(
        self, request: pb.RunChecksRequest, context: Context
    ) -> AsyncIterator[pb.RunChecksResponse]:
        async for report in self._checks.run(request):
            yield pb.RunChecksResponse(check=report)

    async def OpenTerminal(
        self, requests: AsyncIterator[pb.AgentServiceOpenTerminalRequest], context: Context
    ) -> AsyncIterator[pb.AgentServiceOpenTerminalResponse]:
        async for output in self._terminals.open(requests):
            yield pb.AgentServiceOpenTerminalResponse(output=output)

    async def FetchArtifact(
        self, request: pb.FetchArtifactRequest, context: Context
    ) -> AsyncIterator[pb.FetchArtifactResponse]:
        path = await self._sessions.artifact(AttemptName.parse(request.attempt), request.artifact)
        with path.open("rb") as file:
            while data := await asyncio.to_thread(_read, file):
                yield pb.FetchArtifactResponse(data=data)

    async def ReleaseSession(
        self, request: pb.ReleaseSessionRequest, context: Context
    ) -> pb.ReleaseSessionResponse:
        size = await self._sessions.release(AttemptName.parse(request.attempt), request.epoch)
        return pb.ReleaseSessionResponse(disk_bytes=size)

    async def DeleteSessions(
        self, request: pb.DeleteSessionsRequest, context: Context
    ) -> pb.DeleteSessionsResponse:
        names = [AttemptName.parse(attempt) for attempt in request.attempts]
        size = await self._sessions.delete(names, request.epoch, only_says=request.validate_only)
        return pb.DeleteSessionsResponse(disk_bytes=size)

    async def GetWorker(self, request: pb.GetWorkerRequest, context: Context) -> pb.GetWorkerResponse:
        worker = self._sessions.worker(request.epoch)
        worker.terminals = self._terminals.allowed
        return pb.GetWorkerResponse(worker=worker)


def _read(file: BinaryIO) -> bytes:
    # Slightly less than the limit, because the enclosing message counts as well.
    return file.read(CHUNK - 16)
