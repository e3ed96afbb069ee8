"""The calls of the client with which a person resolves a conflict."""

from typing import TYPE_CHECKING

from heddle import pb
from heddle.client.rpc_caller import Caller

if TYPE_CHECKING:
    # Exists only in the stub file.
    from heddle.v1.scheduler_service_pb2_grpc import SchedulerServiceAsyncStub


class ConflictCalls:
    """Part of HeddleClient."""

    _caller: Caller
    _stub: "SchedulerServiceAsyncStub"

    async def get_epic_conflict(self, name: str) -> pb.EpicConflict:
        """Returns the files in which an epic's merge conflicts, as both branches are now."""
        request = pb.GetEpicConflictRequest(name=name)
        return (await self._caller.call(self._stub.GetEpicConflict, request)).conflict

    async def get_conflict_file(
        self, name: str, conflict: pb.EpicConflict, index: int
    ) -> list[pb.ConflictPart]:
        """Returns the parts of a text file of a conflict; only the commits of `conflict` are used."""
        request = pb.GetConflictFileRequest(
            name=name,
            source_commit=conflict.source_commit,
            target_commit=conflict.target_commit,
            index=index,
        )
        return list((await self._caller.call(self._stub.GetConflictFile, request)).parts)

    async def submit_resolution(self, request: pb.SubmitResolutionRequest) -> pb.Epic:
        """Resolves a conflict as a person has decided; adds a request_id unless there is one. Returns the epic."""
        return (await self._caller.mutate(self._stub.SubmitResolution, request)).epic
