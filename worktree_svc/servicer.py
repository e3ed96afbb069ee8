"""Implements the WorktreeService RPCs: converts requests, calls the domain, converts results."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar

import grpc

from heddle import errors, pb
from heddle.config import Tls
from heddle.names import AttemptName, EpicName, RunName, run_or_epic
from heddle.project import environment
from worktree_svc import replies
from worktree_svc.conflict_methods import ConflictMethods
from worktree_svc.content import accepted_history
from worktree_svc.content.ignored_files import Span
from worktree_svc.git import refs
from worktree_svc.git.process import remote_access
from worktree_svc.merges import new_commits
from worktree_svc.merges.branch_merge import BranchMerges, Conflict, MergeRequest
from worktree_svc.merges.conflict_forecast import ConflictForecaster, ForecastRequest
from worktree_svc.merges.open_merges import KnownResults, OpenMerges
from worktree_svc.project_methods import ProjectMethods
from worktree_svc.projects import repository
from worktree_svc.projects.locks import KeyedExecutor
from worktree_svc.projects.mirrors import Mirrors
from worktree_svc.served.repositories import ServedRepositories
from worktree_svc.storage.disk_use import DiskUse
from worktree_svc.storage.worktree_store import ChangesFound, WorktreeState
from worktree_svc.worktrees import diffs, take_in
from worktree_svc.worktrees.diffs import Piece
from worktree_svc.worktrees.epic_places import EpicPlaces
from worktree_svc.worktrees.lifecycle import Worktrees
from worktree_svc.worktrees.task_commits import TaskCommits

T = TypeVar("T")

DEFAULT_PAGE: Final = 100
LARGEST_PAGE: Final = 1000

# Pieces of a diff that one job in a worker thread reads; a short diff needs only one job.
PIECES_AT_ONCE: Final = 2


class WorktreeServicer(ConflictMethods, ProjectMethods):
    """Translates messages, and serializes calls for the same epic or the same merge target."""

    def __init__(
        self,
        executor: KeyedExecutor,
        worktrees: Worktrees,
        commits: TaskCommits,
        *,
        merges: BranchMerges,
        open_merges: OpenMerges,
        forecaster: ConflictForecaster,
        mirrors: Mirrors,
        disk_use: DiskUse,
        served: ServedRepositories,
        tls: Tls | None,
    ) -> None:
        self._served = served
        self._tls = tls
        self._places = EpicPlaces(worktrees, mirrors)
        self._executor = executor
        self._worktrees = worktrees
        self._commits = commits
        self._merges = merges
        self._open_merges = open_merges
        self._forecaster = forecaster
        self._mirrors = mirrors
        self._disk_use = disk_use

    async def EnsureWorktree(
        self, request: pb.EnsureWorktreeRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.EnsureWorktreeResponse:
        attempt = AttemptName.parse(request.attempt)
        earlier = AttemptName.parse(request.continue_attempt) if request.continue_attempt else None

        def job() -> pb.EnsureWorktreeResponse:
            file = request.project_file
            wanted = take_in.wanted_by(request, self._mirrors)
            rewind_to = self._places.settle(request, attempt.parent.parent)
            self._places.bring_resolution(request, attempt.parent.parent)
            done = self._worktrees.ensure(
                request.project,
                attempt,
                request.epoch,
                request.base_commit,
                file=file,
                earlier=earlier,
                merge=request.merge_revision,
                resolution=request.resolution_commit,
                rewind_to=rewind_to,
                wanted=wanted,
            )
            worktree = self._shown(done.state)
            worktree.lease.environment.update(environment.resolved(file.env, *replies.lease_of(done.state)))
            answer = pb.EnsureWorktreeResponse(
                worktree=worktree, created=done.created, continued=done.state.continued
            )
            if found := done.state.found:
                answer.found.CopyFrom(self._found(request.project, found))
            if request.take_in or wanted.base or request.rewind_to:
                project = repository.find(self._worktrees.folders, request.project)
                take_in.describe(project, done.state, request, answer)
            if unfilled := done.state.unfilled:
                answer.submodules_not_filled.CopyFrom(replies.unfilled(unfilled))
            return answer

        return await self._on(
            request.project,
            job,
            key=str(attempt.parent.parent),
            restored=request.known_branches,
            access=request.access,
        )

    async def CommitTask(
        self, request: pb.CommitTaskRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.CommitTaskResponse:
        attempt = AttemptName.parse(request.attempt)
        branch = attempt.parent.parent.branch

        def job() -> pb.CommitTaskResponse:
            spans = [Span.of(each) for each in request.agent_spans]
            git, commit, merged, refused = self._commits.commit_requested(request, attempt, spans)
            if request.submit:
                self._places.submit(request, attempt)
            elif not request.generation:
                refused = self._mirrors.push(request.project, [branch]).get(branch, "")
            stat = accepted_history.diff_stat(git, f"{commit}^", commit)
            merges = refs.resolve(git, f"{commit}^2") is not None
            ignored = self._commits.ignored_files(request.project, attempt, spans)
            return pb.CommitTaskResponse(
                commit=commit,
                diff_stat=stat,
                push_error=refused,
                merged_commit=merged,
                no_changes=not (stat.files or merges),
                ignored_files=pb.IgnoredFilesLeft(**asdict(ignored)) if ignored.count else None,
                kept_ref=refs.kept_ref(attempt) if request.submit else "",
            )

        return await self._on(request.project, job, key=str(attempt.parent.parent), access=request.access)

    async def DiscardAttempt(
        self, request: pb.DiscardAttemptRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.DiscardAttemptResponse:
        attempt = AttemptName.parse(request.attempt)

        def job() -> pb.DiscardAttemptResponse:
            done = self._worktrees.discard(request.project, attempt, request.epoch)
            if done is None or done.kept is None:
                return pb.DiscardAttemptResponse()
            stat = accepted_history.diff_stat(done.project.git, done.head, done.kept.commit)
            return pb.DiscardAttemptResponse(kept_ref=done.kept.ref, diff_stat=stat)

        return await self._on(request.project, job, key=str(attempt.parent.parent))

    async def MergeBranch(
        self, request: pb.MergeBranchRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.MergeBranchResponse:
        asked = MergeRequest(
            source=request.source_branch,
            target=request.target_branch,
            create_at=request.create_target_at,
            subject=request.subject,
            resource=run_or_epic(request.resource),
            squash=request.squash,
            preview=request.preview,
        )

        def job() -> pb.MergeBranchResponse:
            if not asked.preview:
                self._mirrors.follow(request.project, asked.target)
            result = self._merges.merge(request.project, request.epoch, asked)
            if isinstance(result, Conflict):
                return pb.MergeBranchResponse(conflict=replies.conflict(result))
            branches = [] if asked.preview else [asked.source, asked.target]
            refused = self._mirrors.push(request.project, branches, needed=asked.target)
            merged = pb.MergeBranchResponse.Merged(**result._asdict())
            merged.push_error = refused.get(asked.target, "")
            merged.source_push_error = refused.get(asked.source, "")
            return pb.MergeBranchResponse(merged=merged)

        key = None if request.preview else f"{request.project}\0{request.target_branch}"
        return await self._on(request.project, job, key=key, restored=request.known_branches)

    async def OpenMerge(
        self, request: pb.OpenMergeRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.OpenMergeResponse:
        run = RunName.parse(request.run)
        if not request.sources:
            raise errors.invalid_field("sources", "name at least one branch to merge")
        asked = [
            MergeRequest(
                source=source.branch,
                target=request.target_branch,
                create_at=request.create_target_at,
                subject=source.subject,
                resource=run_or_epic(source.resource),
                squash=request.squash,
            )
            for source in request.sources
        ]
        known = KnownResults(
            request.known_trees, [source.branch for source in request.sources if source.known]
        )

        def job() -> pb.OpenMergeResponse:
            self._mirrors.follow(request.project, request.target_branch)
            file = request.project_file
            opened = self._open_merges.open(request.project, request.epoch, run, asked, known, file=file)
            answer = replies.opened(opened)
            if opened.lease:
                slot, ports = opened.lease
                answer.lease.CopyFrom(pb.Lease(slot=slot, ports=ports))
                answer.lease.environment.update(environment.resolved(file.env, slot, ports))
            return answer

        return await self._on(request.project, job, key=f"{run}\0merge", restored=request.known_branches)

    async def CloseMerge(
        self, request: pb.CloseMergeRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.CloseMergeResponse:
        run = RunName.parse(request.run)
        move = (request.target_branch, request.target_commit or None, request.commit)

        def job() -> pb.CloseMergeResponse:
            moved = self._open_merges.close(
                request.project, request.epoch, run, move if request.apply else None
            )
            pushed = [request.target_branch] if moved else []
            refused = self._mirrors.push(request.project, pushed, needed=request.target_branch)
            return pb.CloseMergeResponse(moved=moved, push_error=refused.get(request.target_branch, ""))

        return await self._on(request.project, job, key=f"{run}\0merge")

    async def PushBranches(
        self, request: pb.PushBranchesRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.PushBranchesResponse:
        def job() -> pb.PushBranchesResponse:
            return pb.PushBranchesResponse(errors=self._mirrors.push(request.project, request.branches))

        return await self._on(request.project, job, key=f"{request.project}\0push")

    async def RemoveRemoteRefs(
        self, request: pb.RemoveRemoteRefsRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.RemoveRemoteRefsResponse:
        runs = [RunName.parse(each) for each in request.runs]

        def job() -> pb.RemoveRemoteRefsResponse:
            self._worktrees.check_epoch(request.epoch)
            done = self._mirrors.remove_old_refs(request.project, runs)
            return pb.RemoveRemoteRefsResponse(removed=done.removed, kept=done.kept)

        return await self._on(request.project, job, key=f"{request.project}\0old refs")

    async def PredictConflicts(
        self, request: pb.PredictConflictsRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.PredictConflictsResponse:
        def job() -> pb.PredictConflictsResponse:
            self._mirrors.bring(request.project, request.known_branches)
            commits = {each.branch: each.commit for each in request.known_branches if each.elsewhere}
            asked = ForecastRequest(request.branches, request.base, request.starts, request.upstream, commits)
            found = self._forecaster.predict(request.project, asked)
            return pb.PredictConflictsResponse(
                pairs=[
                    pb.ConflictingPair(branch=one, with_branch=other, files=files, with_upstream=upstream)
                    for one, other, files, upstream in found.pairs
                ],
                changes=[replies.changed_paths(branch) for branch in found.branches],
                upstream_commit=found.upstream_commit,
            )

        return await self._executor.run(job, key=f"{request.project}\0{request.base}\0forecast")

    async def CountNewCommits(
        self, request: pb.CountNewCommitsRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.CountNewCommitsResponse:
        def job() -> pb.CountNewCommitsResponse:
            ref = self._mirrors.fetched_ref(request.project, request.branch)
            project = repository.find(self._worktrees.folders, request.project)
            commit, counts = new_commits.count(project, ref, [each.commits for each in request.held])
            return pb.CountNewCommitsResponse(commit=commit, counts=counts)

        return await self._on(request.project, job, key=None)

    async def RemoveWorktree(
        self, request: pb.RemoveWorktreeRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.RemoveWorktreeResponse:
        epic = EpicName.parse(request.epic)

        def job() -> pb.RemoveWorktreeResponse:
            existed, path, archived = self._places.remove(request, epic)
            return pb.RemoveWorktreeResponse(removed=existed, path=str(path), archive_commit=archived or "")

        return await self._executor.run(job, key=str(epic))

    async def RestoreWorktree(
        self, request: pb.RestoreWorktreeRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.RestoreWorktreeResponse:
        epic = EpicName.parse(request.epic)

        def job() -> pb.RestoreWorktreeResponse:
            file = request.project_file
            state, archived = self._worktrees.restore(request.project, epic, request.epoch, file)
            return pb.RestoreWorktreeResponse(worktree=self._shown(state), archive_commit=archived)

        return await self._executor.run(job, key=str(epic))

    async def ReleaseLease(
        self, request: pb.ReleaseLeaseRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.ReleaseLeaseResponse:
        epic = EpicName.parse(request.epic)

        def job() -> pb.ReleaseLeaseResponse:
            self._worktrees.release(epic, request.epoch)
            return pb.ReleaseLeaseResponse()

        return await self._executor.run(job, key=str(epic))

    async def ListWorktrees(
        self, request: pb.ListWorktreesRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> pb.ListWorktreesResponse:
        if request.page_size < 0:
            raise errors.invalid_field("page_size", "takes a number from 1 to 1000; leave it out for 100")
        after = str(EpicName.parse(request.page_token)) if request.page_token else ""
        size = min(request.page_size or DEFAULT_PAGE, LARGEST_PAGE)
        run = RunName.parse(request.run) if request.run else None

        def job() -> list[WorktreeState]:
            found = (state for _, state in self._worktrees.store.all() if str(state.epic) > after)
            return [state for state in found if run in {None, state.epic.parent}]

        states = await self._executor.run(job)
        looks = (self._executor.run(partial(self._look, state, into=request.look)) for state in states[:size])
        return pb.ListWorktreesResponse(
            worktrees=await asyncio.gather(*looks),
            next_page_token=str(states[size - 1].epic) if len(states) > size else "",
        )

    async def DiffRevisions(
        self, request: pb.DiffRevisionsRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> AsyncIterator[pb.DiffRevisionsResponse]:
        def job() -> tuple[Iterator[Piece], list[Piece]]:
            with remote_access.opened(request.project, request.access, self._tls):
                self._mirrors.bring(request.project, request.known_branches)
            found = diffs.diff(
                repository.find(self._worktrees.folders, request.project),
                request.from_revision,
                request.to_revision,
                from_merge_base=request.from_merge_base,
                max_bytes=request.max_bytes,
            )
            return found, list(islice(found, PIECES_AT_ONCE))

        # If the caller disconnects early, closing the iterator ends its git process.
        pieces, some = await self._executor.run(job)
        while some:
            for piece in some:
                yield pb.DiffRevisionsResponse(text=piece.text, truncated=piece.truncated)
            ended = len(some) < PIECES_AT_ONCE
            some = [] if ended else await self._executor.run(lambda: list(islice(pieces, PIECES_AT_ONCE)))

    def _found(self, path: str, found: ChangesFound) -> pb.ChangesFound:
        git = repository.find(self._worktrees.folders, path).git
        message = pb.ChangesFound(kept_ref=found.ref, after_attempt=found.after)
        (commit,) = refs.read(git, found.ref)
        if commit:
            message.diff_stat.CopyFrom(accepted_history.diff_stat(git, found.head, commit))
        return message

    def _look(self, state: WorktreeState, *, into: bool) -> pb.Worktree:
        worktree = self._shown(state)
        if state.made_at:
            worktree.create_time.FromSeconds(state.made_at)
        if figure := self._disk_use.of(self._worktrees.store.paths(state.epic)):
            worktree.disk_bytes = figure.size
            worktree.measure_time.FromSeconds(figure.at)
        dirty = self._worktrees.is_dirty(state) if into else None
        if dirty is not None:
            worktree.dirty = dirty
        return worktree

    def _shown(self, state: WorktreeState) -> pb.Worktree:
        return replies.worktree(state, self._worktrees.store.paths(state.epic).worktree)
