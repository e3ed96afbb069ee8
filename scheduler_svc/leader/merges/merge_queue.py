"""Merges epics into their run's branch, and a run's branch into the branch that its user named.

If checks must pass first, all branches that wait for the target are tested together. A
batch that fails is halved until the good branches are merged and the bad ones are known.
Every step can be repeated: a branch that the target already contains counts as merged.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import RunName
from scheduler_svc.leader.context import metrics
from scheduler_svc.leader.context.term import Term
from scheduler_svc.leader.merges.merge_calls import HomeLostError, MergeCalls
from scheduler_svc.store.db.doorbell import LOOP
from scheduler_svc.store.outcomes import merge_outcomes
from scheduler_svc.store.outcomes.merge_outcomes import MergeContext, Source

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Errors that end when someone moves or leaves a branch; until then the merge waits.
_WAITS: Final = frozenset({pb.ERROR_REASON_BRANCH_CHECKED_OUT, pb.ERROR_REASON_BRANCH_DIVERGED})

# Seconds before such a merge is tried again.
_HOLD: Final = 1.0

# Maximum output of a failed check in the state of an epic; its event has the full output.
_OUTPUT_CHARACTERS: Final = 8 << 10


async def merge_epics(term: Term, run: RunName) -> None:
    """Performs the merges of a run's epics that are recorded as in progress; records every outcome."""
    while True:
        context, sources = await term.read(partial(merge_outcomes.read_epic_merges, run=run))
        if not sources:
            return
        if await _Target(term, context).try_land(sources):
            await asyncio.sleep(_HOLD)


async def merge_run(term: Term, run: RunName) -> None:
    """Performs the merge of the run that is recorded as in progress; records its outcome."""
    while found := await term.read(partial(merge_outcomes.read_run_merge, run=run)):
        context, source = found
        if not await _Target(term, context).try_land([source]):
            return
        await asyncio.sleep(_HOLD)


class _Target:
    """A branch into which others are merged, one batch at a time."""

    def __init__(self, term: Term, context: MergeContext) -> None:
        self._term = term
        self._context = context
        self._calls = MergeCalls(term, context)
        # True: a branch blocks the merge, which must be retried.
        self.held = False

    async def try_land(self, sources: Sequence[Source]) -> bool:
        """Merges all branches that can be merged; returns whether some must be tried again."""
        try:
            await self.land(sources)
        except HomeLostError:
            # The policy gives the run another worker, which merges from what is recorded.
            return True
        return self.held

    async def land(self, sources: Sequence[Source]) -> None:
        """Merges all branches that can be merged; records the reason for the others."""
        if not self._context.checks.checks:
            for source in sources:
                await self._land_untested(source)
            return
        waiting = list(sources)
        while waiting:
            try:
                waiting = await self._land_some(waiting)
            except HeddleError as error:
                if error.reason == pb.ERROR_REASON_STALE_EPOCH:
                    raise
                if len(waiting) == 1:
                    await self._stopped(waiting[0], error)
                    return
                # One of them is the cause.
                first, waiting = _halves(waiting)
                await self.land(first)

    async def _land_untested(self, source: Source) -> None:
        try:
            answer = await self._calls.merge(source)
        except HeddleError as error:
            if error.reason == pb.ERROR_REASON_STALE_EPOCH:
                raise
            await self._stopped(source, error)
            return
        if answer.HasField("merged"):
            parts = [(source, answer.merged.commit)]
            refused = {
                self._context.target: answer.merged.push_error,
                source.branch: answer.merged.source_push_error,
            }
            await self._merged(parts, refused)
        else:
            await self._conflicted(source, answer.conflict)

    async def _land_some(self, sources: list[Source]) -> list[Source]:
        """Tests a batch and merges it if it passes; returns the branches without a verdict."""
        opened = await self._calls.open(sources)
        by_branch = {source.branch: source for source in sources}
        left_out = [by_branch[each.branch] for each in opened.conflicting]
        batch = [(by_branch[each.branch], each) for each in opened.merged]
        if not batch:
            await self._calls.close(opened, apply=False)
            # They conflict with the target itself, because nothing else was merged.
            for each in opened.conflicting:
                await self._conflicted(by_branch[each.branch], each.conflict)
            return []
        members = [source for source, _ in batch]
        if opened.path:
            reports = await self._test(opened, members)
            if reports is None:
                return sources
            failed = [report for report in reports if not report.ok]
            if failed:
                await self._calls.close(opened, apply=False)
                if len(batch) == 1:
                    await self._rejected(members[0], batch[0][1], opened.target_commit, failed)
                    return left_out
                first, rest = _halves(members)
                await self.land(first)
                return [*rest, *left_out]
        closed = await self._calls.close(opened, apply=True)
        if not closed.moved:
            log.info("target_moved", run=str(self._context.run), target=self._context.target)
            return sources
        refused = {self._context.target: closed.push_error}
        await self._merged([(source, each.commit) for source, each in batch], refused, opened.tree)
        return left_out

    async def _test(
        self, opened: pb.OpenMergeResponse, members: Sequence[Source]
    ) -> list[pb.CheckFinished] | None:
        """Runs the checks on a merged tree; returns None if the worker lost the tree."""
        names = [source.name for source in members]
        reports = await self._calls.run_checks(opened)
        for report in reports or []:
            write = partial(
                merge_outcomes.record_merge_check,
                context=self._context,
                names=names,
                check=report,
                now=self._term.now(),
            )
            await self._term.write("record_merge_check", write, str(self._context.run))
        return reports

    async def _merged(
        self, parts: Sequence[tuple[Source, str]], refused: Mapping[str, str], tree: str = ""
    ) -> None:
        commits = [(source.name, commit) for source, commit in parts]
        write = partial(
            merge_outcomes.record_merged,
            context=self._context,
            commits=commits,
            tree=tree,
            refused={branch: error for branch, error in refused.items() if error},
            now=self._term.now(),
        )
        await self._term.write("record_merged", write, LOOP, str(self._context.run))
        metrics.MERGES.labels("merged").inc(len(parts))
        metrics.PUSH_FAILURES.inc(sum(map(bool, refused.values())))

    async def _conflicted(self, source: Source, found: pb.MergeBranchResponse.Conflict) -> None:
        count = len(found.files)
        reason = f"{count} file{'s conflict' if count != 1 else ' conflicts'} with {self._context.target}"
        conflict = pb.MergeConflicted(
            target_branch=self._context.target,
            files=found.files,
            advice=found.advice,
            hunks=found.hunks,
            source_commit=found.source_commit,
            target_commit=found.target_commit,
        )
        await self._not_merged(source, conflict, reason)
        metrics.MERGES.labels("conflicted").inc()

    async def _rejected(
        self,
        source: Source,
        merged: pb.MergedSource,
        target_commit: str,
        failed: Sequence[pb.CheckFinished],
    ) -> None:
        names = ", ".join(report.name for report in failed)
        reason = f"checks fail on the merge with {self._context.target}: {names}"
        conflict = pb.MergeConflicted(
            target_branch=self._context.target,
            advice=merged.advice,
            failed_checks=[
                pb.FailedCheck(
                    name=report.name, command=report.command, output=report.output[-_OUTPUT_CHARACTERS:]
                )
                for report in failed
            ],
            source_commit=merged.source_commit,
            target_commit=target_commit,
        )
        await self._not_merged(source, conflict, reason)
        metrics.MERGES.labels("checks_failed").inc()

    async def _not_merged(self, source: Source, conflict: pb.MergeConflicted, reason: str) -> None:
        write = partial(
            merge_outcomes.record_conflict,
            name=source.name,
            conflict=conflict,
            reason=reason,
            now=self._term.now(),
        )
        await self._term.write("record_conflict", write, LOOP, str(self._context.run))

    async def _stopped(self, source: Source, error: HeddleError) -> None:
        """Records why a merge was not done: it waits until its branch is unblocked, or it failed."""
        # The user's own branch may reappear too.
        gone = error.reason == pb.ERROR_REASON_UNKNOWN_REVISION and isinstance(source.name, RunName)
        if self._context.cancelling or not (error.reason in _WAITS or gone):
            await self._failed(source, error.message)
            return
        self.held = True
        log.info("merge_held", source=source.branch, target=self._context.target, reason=error.message)
        write = partial(
            merge_outcomes.record_merge_hold,
            name=source.name,
            target=self._context.target,
            problem=error.message,
            now=self._term.now(),
        )
        await self._term.write("record_merge_hold", write, LOOP, str(self._context.run))

    async def _failed(self, source: Source, problem: str) -> None:
        log.warning("merge_failed", source=source.branch, target=self._context.target, error=problem)
        write = partial(
            merge_outcomes.record_merge_failure,
            name=source.name,
            target=self._context.target,
            problem=problem,
            now=self._term.now(),
        )
        await self._term.write("record_merge_failure", write, LOOP, str(self._context.run))
        metrics.MERGES.labels("failed").inc()


def _halves(sources: Sequence[Source]) -> tuple[list[Source], list[Source]]:
    middle = len(sources) // 2
    return list(sources[:middle]), list(sources[middle:])
