"""A worker in memory: AgentService and WorktreeService without agents, git or a disk.

It keeps the promises of both services that a scheduler builds upon: calls are
idempotent, an old epoch or attempt is refused, a watch resumes. What a session
does is a coroutine that the test gives.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import grpc

from heddle import errors, pb
from heddle.names import AttemptName, EpicName
from heddle.serving import Service
from heddle.testing.fake_session import FakeSession, Play, fail_setup, succeed
from heddle.v1.agent_service_pb2_grpc import AgentServiceServicer, add_AgentServiceServicer_to_server
from heddle.v1.worktree_service_pb2_grpc import (
    WorktreeServiceServicer,
    add_WorktreeServiceServicer_to_server,
)

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
    # By target branch.
    merged: dict[str, list[str]] = field(default_factory=dict)
    # By run: the branches of its open merge.
    open_merges: dict[str, list[str]] = field(default_factory=dict)
    # Why it takes no new work.
    full: str = ""
    # The most sessions that ran at the same time.
    peak: int = 0
    epoch: int = 0
    # How many worktrees were ever made.
    made: int = 0

    def service(self) -> Service:
        """Returns both services, to be served at one address."""
        agent, worktree = _Agent(self), _Worktree(self)

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


class _Worktree(WorktreeServiceServicer):
    def __init__(self, worker: FakeWorker) -> None:
        self._worker = worker

    async def InspectProject(
        self, request: pb.InspectProjectRequest, context: Context
    ) -> pb.InspectProjectResponse:
        return pb.InspectProjectResponse(
            project=request.project,
            base_commit=_commit_id("base"),
            dirty_files=self._worker.dirty_files,
            project_file=self._worker.project_file,
        )

    async def EnsureWorktree(
        self, request: pb.EnsureWorktreeRequest, context: Context
    ) -> pb.EnsureWorktreeResponse:
        worker = self._worker
        worker.changing("EnsureWorktree", request)
        worker.newest(AttemptName.parse(request.attempt))
        epic = AttemptName.parse(request.attempt).parent.parent
        known = worker.worktrees.get(str(epic))
        worker.made += known is None
        slot = known.lease.slot if known else worker.made
        file = request.project_file
        head = [commit for commit, _ in worker.commits.get(epic.branch, [])] or [request.base_commit]
        worktree = pb.Worktree(
            epic=str(epic),
            path=f"/fake/{epic.run}/{epic.epic}",
            branch=epic.branch,
            head_commit=head[-1],
            project=request.project,
            lease=pb.Lease(
                slot=slot,
                ports=range(slot * 100, slot * 100 + file.ports),
                environment={**file.env, "HEDDLE_SLOT": str(slot)},
            ),
            incarnation=f"made-{slot}",
        )
        worker.worktrees[str(epic)] = worktree
        return pb.EnsureWorktreeResponse(
            worktree=worktree, created=known is None, continued=bool(request.continue_attempt)
        )

    async def CommitTask(self, request: pb.CommitTaskRequest, context: Context) -> pb.CommitTaskResponse:
        worker = self._worker
        worker.changing("CommitTask", request)
        name = AttemptName.parse(request.attempt)
        worker.newest(name)
        made = worker.commits.setdefault(name.parent.parent.branch, [])
        commit = _commit_id(request.attempt)
        if (commit, request.attempt) not in made:
            made.append((commit, request.attempt))
        return pb.CommitTaskResponse(commit=commit, diff_stat=pb.DiffStat(files=1, insertions=1))

    async def DiscardAttempt(
        self, request: pb.DiscardAttemptRequest, context: Context
    ) -> pb.DiscardAttemptResponse:
        self._worker.changing("DiscardAttempt", request)
        name = AttemptName.parse(request.attempt)
        kept = f"refs/heddle/attempts/{name.run}/{name.epic}/{name.task}/{name.number}"
        return pb.DiscardAttemptResponse(kept_ref=kept, diff_stat=pb.DiffStat(files=1))

    async def MergeBranch(self, request: pb.MergeBranchRequest, context: Context) -> pb.MergeBranchResponse:
        worker = self._worker
        worker.changing("MergeBranch", request)
        if request.source_branch in worker.conflicting:
            conflict = pb.MergeBranchResponse.Conflict(files=["shared.txt"], advice="merge it by hand")
            return pb.MergeBranchResponse(conflict=conflict)
        sources = worker.merged.setdefault(request.target_branch, [])
        already = request.source_branch in sources
        if not already:
            sources.append(request.source_branch)
        commit = _commit_id(f"{request.target_branch}+{request.source_branch}")
        merged = pb.MergeBranchResponse.Merged(commit=commit, already=already)
        return pb.MergeBranchResponse(merged=merged)

    async def OpenMerge(self, request: pb.OpenMergeRequest, context: Context) -> pb.OpenMergeResponse:
        worker = self._worker
        worker.changing("OpenMerge", request)
        held = worker.merged.get(request.target_branch, [])
        answer = pb.OpenMergeResponse(target_commit=_commit_id("+".join([request.target_branch, *held])))
        for source in request.sources:
            if source.branch in worker.conflicting:
                conflict = pb.MergeBranchResponse.Conflict(files=["shared.txt"], advice="merge it by hand")
                answer.conflicting.add(branch=source.branch, conflict=conflict)
            else:
                commit = _commit_id(f"{request.target_branch}+{source.branch}")
                already = source.branch in held
                answer.merged.add(branch=source.branch, commit=commit, already=already, advice="mend it")
        new = [part.branch for part in answer.merged if not part.already]
        worker.open_merges[request.run] = new
        if answer.merged:
            answer.commit = answer.merged[-1].commit
            answer.tree = _commit_id("+".join([request.target_branch, *held, *new]))
        if new and answer.tree not in request.known_trees:
            answer.path = f"/fake/merges/{request.run}"
        return answer

    async def CloseMerge(self, request: pb.CloseMergeRequest, context: Context) -> pb.CloseMergeResponse:
        worker = self._worker
        worker.changing("CloseMerge", request)
        new = worker.open_merges.pop(request.run, [])
        if request.apply:
            worker.merged.setdefault(request.target_branch, []).extend(new)
        return pb.CloseMergeResponse(moved=request.apply)

    async def PredictConflicts(
        self, request: pb.PredictConflictsRequest, context: Context
    ) -> pb.PredictConflictsResponse:
        self._worker.calls.append(("PredictConflicts", request))
        self._worker.before("PredictConflicts", request)
        asked = {"", *request.branches}
        pairs = [pair for pair in self._worker.foreseen if {pair.branch, pair.with_branch} <= asked]
        changes = [
            pb.ChangedPaths(branch=branch, commit=_commit_id(branch), paths=paths, path_count=len(paths))
            for branch in request.branches
            if (paths := self._worker.written.get(branch.rpartition("/")[2]))
        ]
        return pb.PredictConflictsResponse(pairs=pairs, changes=changes)

    async def RemoveWorktree(
        self, request: pb.RemoveWorktreeRequest, context: Context
    ) -> pb.RemoveWorktreeResponse:
        self._worker.changing("RemoveWorktree", request)
        EpicName.parse(request.epic)
        removed = self._worker.worktrees.pop(request.epic, None)
        path = removed.path if removed else ""
        return pb.RemoveWorktreeResponse(removed=removed is not None, path=path)

    async def ListWorktrees(
        self, request: pb.ListWorktreesRequest, context: Context
    ) -> pb.ListWorktreesResponse:
        return pb.ListWorktreesResponse(worktrees=self._worker.worktrees.values())

    async def DiffRevisions(
        self, request: pb.DiffRevisionsRequest, context: Context
    ) -> AsyncIterator[pb.DiffRevisionsResponse]:
        dots = "..." if request.from_merge_base else ".."
        yield pb.DiffRevisionsResponse(text=f"diff {request.from_revision}{dots}{request.to_revision}\n")


def _commit_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]
