"""The fake worker's WorktreeService: branches are lists of commits, in memory."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from heddle import errors, pb
from heddle.names import AttemptName, EpicName
from heddle.testing.fake_state import FakeState
from heddle.v1.worktree_service_pb2_grpc import WorktreeServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class FakeWorktrees(WorktreeServiceServicer):
    """Keeps the state of its worker in memory."""

    def __init__(self, worker: FakeState) -> None:
        self._worker = worker

    async def InspectProject(
        self, request: pb.InspectProjectRequest, context: Context
    ) -> pb.InspectProjectResponse:
        return pb.InspectProjectResponse(
            project=request.project,
            base_commit=_commit_id("base"),
            base_branch=self._worker.base_branch,
            dirty_files=self._worker.dirty_files,
            project_file=self._worker.project_file,
            not_served=self._worker.not_served,
        )

    async def GrantRepository(
        self, request: pb.GrantRepositoryRequest, context: Context
    ) -> pb.GrantRepositoryResponse:
        raise errors.HeddleError(
            pb.ERROR_REASON_CLAIM_REFUSED,
            "this worker serves no repository: HEDDLE_GIT_LISTEN is not set there",
        )

    async def EnsureWorktree(
        self, request: pb.EnsureWorktreeRequest, context: Context
    ) -> pb.EnsureWorktreeResponse:
        worker = self._worker
        worker.changing("EnsureWorktree", request)
        worker.newest(AttemptName.parse(request.attempt))
        epic = AttemptName.parse(request.attempt).workspace
        known = worker.worktrees.get(str(epic))
        worker.made += known is None
        slot = known.lease.slot if known else worker.made
        file = request.project_file
        if request.rewind_to:
            self._rewind(epic.branch, request.rewind_to, request.attempt)
        head = [commit for commit, _ in worker.commits.get(epic.branch, [])] or [request.base_commit]
        base = worker.take_in(epic.epic, request) if request.HasField("base") else None
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
            worktree=worktree,
            created=known is None,
            continued=bool(request.continue_attempt),
            submodules_not_filled=worker.submodules_not_filled,
            base=base,
            conflict_files=["shared.txt"] if base and base.conflicts else [],
            conflict_commit=base.commit if base and base.conflicts else "",
        )

    async def CommitTask(self, request: pb.CommitTaskRequest, context: Context) -> pb.CommitTaskResponse:
        worker = self._worker
        worker.changing("CommitTask", request)
        name = AttemptName.parse(request.attempt)
        worker.newest(AttemptName.parse(request.owner_attempt or request.attempt))
        made = worker.commits.setdefault(name.parent.parent.branch, [])
        commit = _commit_id(request.attempt)
        if not request.submit and (commit, request.attempt) not in made:
            made.append((commit, request.attempt))
        return pb.CommitTaskResponse(
            commit=commit,
            kept_ref=f"refs/heddle/attempts/{name}" if request.submit else "",
            diff_stat=pb.DiffStat(files=1, insertions=1),
            push_error=worker.refused.get(name.parent.parent.branch, ""),
            merged_commit=worker.resolving.get(request.attempt, ""),
        )

    async def PushBranches(
        self, request: pb.PushBranchesRequest, context: Context
    ) -> pb.PushBranchesResponse:
        refused = {
            branch: error for branch, error in self._worker.refused.items() if branch in request.branches
        }
        return pb.PushBranchesResponse(errors=refused)

    async def RemoveRemoteRefs(
        self, request: pb.RemoveRemoteRefsRequest, context: Context
    ) -> pb.RemoveRemoteRefsResponse:
        self._worker.changing("RemoveRemoteRefs", request)
        return pb.RemoveRemoteRefsResponse()

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
        merged = pb.MergeBranchResponse.Merged(
            commit=commit, already=already, push_error=worker.refused.get(request.target_branch, "")
        )
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
                answer.merged.add(branch=source.branch, commit=commit, already=already, advice="fix it")
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

    async def ReadConflict(
        self, request: pb.ReadConflictRequest, context: Context
    ) -> pb.ReadConflictResponse:
        if request.HasField("index"):
            region = pb.ConflictRegion(base=b"base\n", ours=b"ours\n", theirs=b"theirs\n")
            return pb.ReadConflictResponse(parts=[pb.ConflictPart(region=region)])
        found = pb.EpicConflict(
            source_commit=_commit_id(request.epic),
            target_commit=_commit_id(request.target_branch),
            source_branch=EpicName.parse(request.epic).branch,
            target_branch=request.target_branch,
            files=[pb.ConflictFile(path="shared.txt", form=pb.CONFLICT_FORM_TEXT)],
        )
        return pb.ReadConflictResponse(conflict=found)

    async def MakeResolution(
        self, request: pb.MakeResolutionRequest, context: Context
    ) -> pb.MakeResolutionResponse:
        self._worker.changing("MakeResolution", request)
        return pb.MakeResolutionResponse(commit=_commit_id(f"{request.epic} resolved"))

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

    async def CountNewCommits(
        self, request: pb.CountNewCommitsRequest, context: Context
    ) -> pb.CountNewCommitsResponse:
        self._worker.calls.append(("CountNewCommits", request))
        tip = self._worker.base_tip
        counts = [int(tip not in each.commits) for each in request.held]
        return pb.CountNewCommitsResponse(commit=tip, counts=counts if tip else [])

    async def RemoveWorktree(
        self, request: pb.RemoveWorktreeRequest, context: Context
    ) -> pb.RemoveWorktreeResponse:
        self._worker.changing("RemoveWorktree", request)
        EpicName.parse(request.epic)
        removed = self._worker.worktrees.pop(request.epic, None)
        path = removed.path if removed else ""
        if removed and request.epic in self._worker.dirty:
            self._worker.archived[request.epic] = _commit_id(f"archive of {request.epic}")
        return pb.RemoveWorktreeResponse(
            removed=removed is not None, path=path, archive_commit=self._worker.archived.get(request.epic, "")
        )

    async def RestoreWorktree(
        self, request: pb.RestoreWorktreeRequest, context: Context
    ) -> pb.RestoreWorktreeResponse:
        worker = self._worker
        worker.changing("RestoreWorktree", request)
        archived = worker.archived.get(request.epic)
        if archived is None:
            raise errors.not_found(request.epic)
        epic = EpicName.parse(request.epic)
        path = f"/fake/{epic.run}/{epic.epic}"
        worktree = pb.Worktree(epic=request.epic, path=path, branch=epic.branch, project=request.project)
        worker.worktrees.setdefault(request.epic, worktree)
        return pb.RestoreWorktreeResponse(worktree=worktree, archive_commit=archived)

    async def ReleaseLease(
        self, request: pb.ReleaseLeaseRequest, context: Context
    ) -> pb.ReleaseLeaseResponse:
        self._worker.changing("ReleaseLease", request)
        return pb.ReleaseLeaseResponse()

    async def ListWorktrees(
        self, request: pb.ListWorktreesRequest, context: Context
    ) -> pb.ListWorktreesResponse:
        chosen = [each for each in self._worker.worktrees.values() if each.epic.startswith(f"{request.run}/")]
        answer = pb.ListWorktreesResponse(worktrees=chosen)
        for each in answer.worktrees:
            each.disk_bytes = self._worker.worktree_bytes
            each.dirty = each.epic in self._worker.dirty
        return answer

    async def DiffRevisions(
        self, request: pb.DiffRevisionsRequest, context: Context
    ) -> AsyncIterator[pb.DiffRevisionsResponse]:
        dots = "..." if request.from_merge_base else ".."
        yield pb.DiffRevisionsResponse(text=f"diff {request.from_revision}{dots}{request.to_revision}\n")

    def _rewind(self, branch: str, revision: str, attempt: str) -> None:
        """Removes the child commit of `revision` (COMMIT^), and all later ones, from a branch. Idempotent."""
        made = [commit for commit, _ in self._worker.commits.get(branch, [])]
        if (first := revision.removesuffix("^")) in made:
            place = made.index(first)
            self._worker.rewound[attempt] = made[place:]
            del self._worker.commits[branch][place:]


def _commit_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]
