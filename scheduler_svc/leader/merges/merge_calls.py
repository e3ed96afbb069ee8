"""Calls to a worker for a merge; they wait for an unreachable worker and for its environment."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import grpc
import structlog
from google.protobuf.duration_pb2 import Duration

from heddle import pb
from heddle.errors import ENVIRONMENT_FAULTS, HeddleError
from heddle.failpoints import failpoint
from scheduler_svc.leader.context.environment_waits import call_when_ready
from scheduler_svc.leader.context.project_setup import TEARDOWN_LIMIT, setup_limit
from scheduler_svc.leader.context.term import Term
from scheduler_svc.pools.lease_end import stream_before_lease_end
from scheduler_svc.pools.worker import Worker
from scheduler_svc.pools.workers import from_worker
from scheduler_svc.store.outcomes.environment_faults import Waiter, is_cancelling
from scheduler_svc.store.outcomes.merge_outcomes import MergeContext, Source

log: structlog.stdlib.BoundLogger = structlog.get_logger()

T = TypeVar("T")

# Seconds.
_TIMEOUT: Final = 600.0
_PAUSE: Final = 0.5


class HomeLostError(Exception):
    """The lease of the run's unreachable worker has expired, and another worker can continue the merges."""


class MergeCalls:
    """Calls for the merges into one target branch."""

    def __init__(self, term: Term, context: MergeContext) -> None:
        self._term = term
        self._context = context

    async def merge(self, source: Source) -> pb.MergeBranchResponse:
        """Merges one branch immediately, without checks."""
        request = pb.MergeBranchRequest(
            project=self._context.project,
            epoch=self._term.epoch,
            source_branch=source.branch,
            target_branch=self._context.target,
            create_target_at=self._context.create_at,
            subject=source.subject,
            resource=str(source.name),
            squash=self._context.squash,
            known_branches=self._known([source]),
        )
        return await self._ask(lambda worker: worker.worktree.MergeBranch, request, source.name)

    async def open(self, sources: Sequence[Source]) -> pb.OpenMergeResponse:
        """Merges all of the branches as a trial, without moving the target."""
        request = pb.OpenMergeRequest(
            project=self._context.project,
            epoch=self._term.epoch,
            run=str(self._context.run),
            sources=[
                pb.MergeSource(
                    branch=source.branch,
                    subject=source.subject,
                    resource=str(source.name),
                    known=source.tested,
                )
                for source in sources
            ],
            target_branch=self._context.target,
            create_target_at=self._context.create_at,
            squash=self._context.squash,
            known_trees=[self._context.tested_tree] if self._context.tested_tree else [],
            project_file=self._context.project_file,
            known_branches=self._known(sources),
        )
        return await self._ask(lambda worker: worker.worktree.OpenMerge, request, self._context.run)

    def _known(self, sources: Sequence[Source]) -> list[pb.KnownBranch]:
        known = [pb.KnownBranch(branch=self._context.run.branch, commit=self._context.merged_commit)]
        known += (
            pb.KnownBranch(branch=source.branch, commit=source.commit, elsewhere=source.elsewhere)
            for source in sources
        )
        return [each for each in known if each.commit]

    async def close(self, opened: pb.OpenMergeResponse, *, apply: bool) -> pb.CloseMergeResponse:
        """Ends an open merge; the response contains whether the target was moved."""
        request = pb.CloseMergeRequest(
            project=self._context.project,
            epoch=self._term.epoch,
            run=str(self._context.run),
            target_branch=self._context.target,
            target_commit=opened.target_commit,
            commit=opened.commit,
            apply=apply,
        )
        return await self._ask(lambda worker: worker.worktree.CloseMerge, request, self._context.run)

    async def run_checks(self, opened: pb.OpenMergeResponse) -> list[pb.CheckFinished] | None:
        """Returns the reports of all checks, or of the setup if it fails.

        None if the worker became unreachable or lost the folder meanwhile.
        """
        file, checks = self._context.project_file, self._context.checks
        setup = _commands("setup", file.setup)
        reports = await self._run(opened, setup, setup_limit(file)) if setup else []
        if reports is not None and all(report.ok for report in reports):
            whole = checks.timeout if checks.HasField("timeout") else None
            reports = await self._run(opened, checks.checks, whole)
        if reports is not None and file.teardown:
            # The worktree is removed whatever the result.
            await self._run(opened, _commands("teardown", file.teardown), TEARDOWN_LIMIT)
        return reports

    async def _run(
        self, opened: pb.OpenMergeResponse, checks: Sequence[pb.Check], limit: Duration | None
    ) -> list[pb.CheckFinished] | None:
        request = pb.RunChecksRequest(
            resource=str(self._context.run),
            epoch=self._term.epoch,
            checks=checks,
            timeout=limit,
            environment={**opened.lease.environment, "HEDDLE_RUN": self._context.run.run},
        )
        failpoint("RunChecks.before_call")
        try:
            stream = self._term.workers.get(self._context.worker).agent.RunChecks(request)
            answers = stream_before_lease_end(self._term.workers, self._context.worker, stream)
            reports = [answer.check async for answer in answers]
        except grpc.aio.AioRpcError as error:
            problem = from_worker(self._context.worker, error)
        except HeddleError as error:
            problem = error
        else:
            failpoint("RunChecks.after_call")
            return reports
        # The worker reports a folder that no longer exists as an invalid argument.
        if problem.code not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INVALID_ARGUMENT}:
            raise problem
        log.info("merge_checks_broken", run=str(self._context.run), error=problem.message)
        await asyncio.sleep(_PAUSE)
        return None

    async def _ask(
        self, method: Callable[[Worker], Callable[..., Awaitable[T]]], request: Any, name: Waiter
    ) -> T:
        async def end_if_cancelled(error: HeddleError) -> None:
            gone = self._term.workers.has_let_go(self._context.worker)
            if gone and self._context.moves:
                raise HomeLostError from error
            if (gone or error.reason in ENVIRONMENT_FAULTS) and await self._term.read(
                partial(is_cancelling, run=self._context.run)
            ):
                raise error

        return await call_when_ready(
            self._term,
            name,
            self._context.worker,
            method,
            request,
            timeout=_TIMEOUT,
            waits_for=ENVIRONMENT_FAULTS,
            on_wait=end_if_cancelled,
        )


def _commands(what: str, commands: Sequence[str]) -> list[pb.Check]:
    return [pb.Check(name=f"{what}: {command}", run=command) for command in commands]
