"""Drives one attempt from start to end on a worker.

Every step is idempotent, and every result is in the database before the next step.
After an interruption, the next leader therefore repeats the same steps from the last stored result.
"""

from contextlib import aclosing
from functools import partial
from typing import Final

import grpc
import structlog

from heddle import pb
from heddle.errors import HeddleError
from heddle.events.kinds import PROMOTED
from heddle.failpoints import failpoint
from heddle.names import AttemptName
from heddle.timing.backoff import Backoff
from scheduler_svc.leader.attempts import (
    attempt_candidates,
    attempt_comparisons,
    attempt_reviews,
    attempt_waits,
)
from scheduler_svc.leader.attempts.artifact_copies import copy_artifacts
from scheduler_svc.leader.attempts.attempt_calls import AttemptCalls, PlaceLostError, StoppedError
from scheduler_svc.leader.attempts.attempt_prompt import prompt_of
from scheduler_svc.leader.attempts.draft_handover import hand_over
from scheduler_svc.leader.attempts.session_release import release_session
from scheduler_svc.leader.attempts.session_stop import SESSION_TIMEOUT, stop_session
from scheduler_svc.leader.attempts.submitted_work import Commit
from scheduler_svc.leader.context import metrics
from scheduler_svc.leader.context.project_setup import setup_of
from scheduler_svc.leader.context.term import Term
from scheduler_svc.model.plans.plan_defaults import background_wait
from scheduler_svc.pools.lease_end import stream_before_lease_end
from scheduler_svc.pools.session_stream import joined
from scheduler_svc.pools.workers import from_worker
from scheduler_svc.store.db.doorbell import LOOP, attempt_topics, summaries
from scheduler_svc.store.db.writer import Grouped
from scheduler_svc.store.outcomes import attempt_outcomes
from scheduler_svc.store.outcomes.session_ingest import Batch, ingest
from scheduler_svc.store.queries.assignments import Assignment
from scheduler_svc.store.queries.resources import agent_spans, spans_of
from scheduler_svc.store.rows import epics

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds. Git can be slow in a large repository.
_GIT_TIMEOUT: Final = 600.0

_UNAVAILABLE: Final = grpc.StatusCode.UNAVAILABLE


class AttemptDriver:
    """Drives one attempt."""

    def __init__(self, term: Term, attempt: AttemptName) -> None:
        self._term = term
        self._attempt = attempt
        self._calls = AttemptCalls(term, attempt)
        self._log = log.bind(attempt=str(attempt))
        # True once all events of the session are in the database.
        self._stored = False
        # The agent, as long as nothing can have been written to the attempt's row since it was started here.
        self._new_agent = ""

    async def drive(self, started: Assignment | None = None) -> None:
        """Returns when the attempt has ended. `started` is set if this leader has just started it.

        An error ends only this attempt; the only error that is raised is STALE_EPOCH.
        """
        assignment = started or await self._calls.assignment()
        if assignment is None:
            return
        self._stored = assignment.result is not None
        self._new_agent = assignment.spec.agent if started and not assignment.review else ""
        await self._drive(assignment, fresh=started is not None)
        if self._stored:
            await release_session(self._term, self._attempt, assignment.worker)

    async def _drive(self, assignment: Assignment, *, fresh: bool) -> None:
        try:
            result = assignment.result or await self._play(assignment, fresh=fresh)
            if result.outcome == pb.OUTCOME_SUCCEEDED:
                await self._succeed(assignment, result)
                return
            if await attempt_waits.continues_later(self._term, self._attempt, result):
                return
        except StoppedError:
            await self._leave(assignment)
            stopped = pb.SessionFinished(outcome=pb.OUTCOME_STOPPED)
            await self._fail(assignment, stopped, pb.DiscardAttemptResponse())
            return
        except PlaceLostError:
            await self._leave(assignment)
            lost = _lost(
                f"worker {assignment.worker} was lost: it could not be reached until its lease expired"
            )
            await self._fail(assignment, lost, pb.DiscardAttemptResponse())
            return
        except HeddleError as error:
            if error.reason == pb.ERROR_REASON_STALE_EPOCH:
                raise
            if error.reason == pb.ERROR_REASON_SYNC_CONFLICT and await attempt_waits.hold(
                self._term, self._attempt, assignment.base.branch if assignment.base else "", error
            ):
                return
            self._log.warning("attempt_failed", error=error.message)
            result = await self._ended_by_error(assignment, error.message)
            result.outcome = attempt_outcomes.OUTCOMES.get(error.reason, result.outcome)
            if error.reason == pb.ERROR_REASON_CLAIM_REFUSED:
                await self._term.write("stay", partial(epics.stay, name=self._attempt.parent.parent))
        except Exception as error:  # noqa: BLE001 (a defect must end only this attempt)
            self._log.exception("attempt_failed")
            result = await self._ended_by_error(
                assignment, f"a defect of Heddle ({type(error).__name__}: {error}); its log says more"
            )
        await self._fail(assignment, result, await self._discard(assignment))

    async def _play(self, assignment: Assignment, *, fresh: bool) -> pb.SessionFinished:
        """Starts the session unless it already exists; returns its result."""
        if assignment.takes_over:
            # What follows needs no session, only the files.
            await self._ensure_worktree(assignment)
            return pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)
        if fresh or not await self._has_session(assignment):
            if assignment.started:
                return _lost("its worker no longer knows the session")
            await self._start_session(assignment, await self._ensure_worktree(assignment))
        return await self._follow(assignment)

    async def _has_session(self, assignment: Assignment) -> bool:
        request = pb.GetSessionRequest(attempt=str(self._attempt))
        try:
            await self._calls.ask(
                assignment, lambda worker: worker.agent.GetSession, request, SESSION_TIMEOUT
            )
        except HeddleError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return False
            raise
        return True

    async def _ensure_worktree(self, assignment: Assignment) -> pb.EnsureWorktreeResponse:
        request = pb.EnsureWorktreeRequest(
            project=assignment.project,
            attempt=str(self._attempt),
            epoch=self._term.epoch,
            base_commit=assignment.base_commit,
            continue_attempt=assignment.continue_attempt,
            project_file=assignment.project_file,
            merge_revision=assignment.merges,
            resolution_commit=assignment.resolution,
            rewind_to=assignment.rewind_to,
            take_in=assignment.needed,
            resolve_conflict=assignment.resolves_taken_in,
            base=assignment.base,
            known_branches=assignment.known_branches,
            generation=assignment.generation,
        )
        answer: pb.EnsureWorktreeResponse = await self._calls.ask_git(
            assignment,
            lambda worker: worker.worktree.EnsureWorktree,
            request,
            _GIT_TIMEOUT,
            stops_at_once=True,
        )
        worktree = answer.worktree
        moved = worktree.path != assignment.worktree_path or worktree.lease != assignment.lease
        noted = answer.HasField("found") or answer.HasField("submodules_not_filled")
        if noted:
            self._new_agent = ""
        if moved or noted or answer.taken_in or answer.HasField("base"):
            record = partial(
                attempt_outcomes.record_worktree,
                attempt=self._attempt,
                ensured=answer,
                worker=assignment.worker,
                base_branch=request.base.branch,
                now=self._term.now(),
            )
            await self._term.write("record_worktree", record, self._run)
        return answer

    async def _start_session(self, assignment: Assignment, ensured: pb.EnsureWorktreeResponse) -> None:
        name, spec = self._attempt, assignment.spec
        request = pb.StartSessionRequest(
            attempt=str(name),
            epoch=self._term.epoch,
            agent=spec.agent,
            prompt=await prompt_of(self._term, self._calls, name, assignment, ensured),
            script=spec.script,
            checks=spec.checks,
            timeout=spec.timeout if spec.HasField("timeout") else None,
            silence=spec.silence if spec.HasField("silence") else None,
            background_wait=background_wait(spec),
            permissions=spec.permissions,
            model=spec.model,
            system_prompt=spec.system_prompt,
            effort=spec.effort,
            tools=spec.tools,
            mcp_servers=spec.mcp_servers,
            max_turns=spec.max_turns if spec.HasField("max_turns") else None,
            budget_usd_micros=assignment.budget,
            resume_attempt=assignment.resume_attempt,
            answers=assignment.answers,
            files_kept=ensured.continued,
            setup=setup_of(assignment, ensured.worktree),
            project_environment=ensured.worktree.lease.environment,
            environment={
                "HEDDLE_RUN": name.run,
                "HEDDLE_EPIC": name.epic,
                "HEDDLE_TASK": name.task,
                "HEDDLE_ATTEMPT": str(name.number),
            }
            | attempt_reviews.environment(assignment.review)
            | attempt_candidates.environment(name),
        )
        await self._calls.ask(
            assignment,
            lambda worker: worker.renewing().agent.StartSession,
            request,
            SESSION_TIMEOUT,
            waits=True,
        )

    async def _follow(self, assignment: Assignment) -> pb.SessionFinished:
        """Stores the session's events up to the last; resumes after each interruption."""
        after = assignment.session_sequence
        backoff = Backoff()
        while True:
            try:
                worker = self._term.workers.get(assignment.worker)
                request = pb.AgentServiceWatchSessionRequest(attempt=str(self._attempt), after_sequence=after)
                failpoint("WatchSession.before_call")
                watch = worker.agent.WatchSession(request)
                answers = stream_before_lease_end(self._term.workers, worker.name, watch)
                async with aclosing(joined(answers)) as stream:
                    async for answer in stream:
                        failpoint("WatchSession.after_call")
                        if assignment.generation:
                            await copy_artifacts(self._term, self._attempt, worker.name, answer.events)
                        result = await self._ingest(answer, assignment)
                        after = answer.events[-1].sequence
                        if result is not None:
                            self._stored = True
                            return result
            except (grpc.aio.AioRpcError, HeddleError) as error:
                if isinstance(error, HeddleError) and error.reason != pb.ERROR_REASON_NO_WORKER:
                    raise
                problem = error if isinstance(error, HeddleError) else from_worker(assignment.worker, error)
                if problem.code in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.OUT_OF_RANGE}:
                    return _lost("its worker no longer has the session's log")
                # A worker without free file descriptors cannot open the log now; the session continues.
                short = problem.reason == pb.ERROR_REASON_NO_DESCRIPTORS
                if problem.code is not _UNAVAILABLE and not short:
                    raise problem from error
                self._log.info("session_watch_broken", error=problem.message)
                await self._calls.end_if_over(assignment, error)
            await backoff.wait()

    async def _ingest(
        self, answer: pb.AgentServiceWatchSessionResponse, assignment: Assignment
    ) -> pb.SessionFinished | None:
        """Stores a batch. The next one is taken only after that, so a slow database leaves the rest in the spool."""
        topics = [str(self._attempt), summaries(self._run)]
        reports = [event.usage for event in answer.events if event.HasField("usage")]
        if reports and assignment.budget is not None:
            topics.append(LOOP)
        if any(event.WhichOneof("payload") in PROMOTED for event in answer.events):
            topics.append(self._run)
        batch = Batch(self._attempt, answer.events, self._term.now(), self._new_agent)
        self._new_agent = ""
        result = await self._term.write("ingest", Grouped(ingest, batch, answer.ByteSize()), *topics)
        said = answer.events[-1].time.ToMicroseconds()
        metrics.INGEST_LAG.observe(max(0, self._term.now() - said) / 1e6)
        metrics.used(assignment.spec.agent, reports)
        return result

    async def _succeed(self, assignment: Assignment, result: pb.SessionFinished) -> None:
        commit = partial(self._commit, assignment)
        if assignment.draft:
            await hand_over(self._term, self._attempt, assignment, await self._discard(assignment))
        elif assignment.takes_over:
            await attempt_candidates.accept(self._term, self._attempt, assignment, commit)
        elif assignment.review is not None and assignment.review.HasField("comparison"):
            await attempt_comparisons.judge(self._term, self._attempt, assignment, assignment.review)
        elif assignment.review is not None:
            await attempt_reviews.judge(self._term, self._attempt, assignment, assignment.review, commit)
        else:
            await self._accept(assignment, result, commit)

    async def _commit(self, assignment: Assignment, request: pb.CommitTaskRequest) -> pb.CommitTaskResponse:
        return await self._calls.ask_git(
            assignment, lambda worker: worker.worktree.CommitTask, request, _GIT_TIMEOUT
        )

    async def _accept(self, assignment: Assignment, result: pb.SessionFinished, commit: Commit) -> None:
        spec, spans = assignment.spec, spans_of([result])
        # Only a later attempt needs to read what agents did before it.
        if self._attempt.number > 1:
            spans = await self._term.read(partial(agent_spans, name=self._attempt))
        request = pb.CommitTaskRequest(
            project=assignment.project,
            attempt=str(self._attempt),
            epoch=self._term.epoch,
            subject=spec.title,
            expect=spec.expect,
            allow_files=[*assignment.project_file.allow_files, *spec.allow_files],
            agent_spans=spans,
            continued_commit=attempt_reviews.continued_commit(assignment),
            generation=assignment.generation,
        )
        if self._attempt.parent.candidate:
            await attempt_candidates.submit(self._term, self._attempt, spec, request, commit)
            return
        submit = partial(attempt_reviews.submit, self._term, self._attempt, commit=commit)
        if (committed := await (submit if spec.reviews else commit)(request)) is None:
            return
        acceptance = attempt_outcomes.Acceptance(self._attempt, committed, self._term.now())
        accept = Grouped(attempt_outcomes.accept_all, acceptance)
        await self._term.write("accept", accept, *attempt_topics(self._attempt))
        metrics.attempt_ended(spec.agent, pb.OUTCOME_SUCCEEDED)
        metrics.PUSH_FAILURES.inc(bool(committed.push_error))

    async def _ended_by_error(self, assignment: Assignment, reason: str) -> pb.SessionFinished:
        """Makes sure that the attempt's session has stopped; returns the failure to record."""
        await stop_session(self._term, self._attempt, assignment.worker, reason)
        return pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason=reason)

    async def _fail(
        self, assignment: Assignment, result: pb.SessionFinished, kept: pb.DiscardAttemptResponse
    ) -> None:
        if assignment.review is not None:
            await attempt_reviews.not_answered(self._term, self._attempt, result)
        else:
            end = partial(
                attempt_outcomes.fail,
                attempt=self._attempt,
                result=result,
                kept=kept,
                should_retry=self._term.should_retry,
                now=self._term.now(),
            )
            await self._term.write("fail", end, *attempt_topics(self._attempt))
        metrics.attempt_ended(assignment.spec.agent, result.outcome)

    async def _discard(self, assignment: Assignment) -> pb.DiscardAttemptResponse:
        """Keeps the changes of a failed attempt. Only logs an error, because EnsureWorktree then keeps them."""
        request = pb.DiscardAttemptRequest(
            project=assignment.project, attempt=str(self._attempt), epoch=self._term.epoch
        )
        try:
            kept: pb.DiscardAttemptResponse = await self._calls.ask(
                assignment, lambda worker: worker.worktree.DiscardAttempt, request, _GIT_TIMEOUT
            )
        except (StoppedError, PlaceLostError):
            return pb.DiscardAttemptResponse()
        except HeddleError as error:
            if error.reason == pb.ERROR_REASON_STALE_EPOCH:
                raise
            self._log.warning("attempt_not_discarded", error=error.message)
            return pb.DiscardAttemptResponse()
        return kept

    async def _leave(self, assignment: Assignment) -> None:
        """Makes sure that nothing of the attempt's place is accepted any more, should the worker come back."""
        if assignment.generation and self._term.workers.has_let_go(assignment.worker):
            leave = partial(epics.lose_place, name=self._attempt.parent.parent)
            await self._term.write("lose_place", leave)

    @property
    def _run(self) -> str:
        return str(self._attempt.parent.parent.parent)


def _lost(reason: str) -> pb.SessionFinished:
    return pb.SessionFinished(outcome=pb.OUTCOME_LOST, reason=reason)
