"""Determines how a session ended from how its processes ended. Pure."""

import errno
import os
import signal
from datetime import datetime
from typing import Final, NamedTuple

from google.protobuf.duration_pb2 import Duration

from agent_svc.processes.signals import signal_name
from agent_svc.processes.supervised import Exit
from agent_svc.sessions.setup_commands import Report
from agent_svc.text import clip
from heddle import pb

MAX_REASON_BYTES: Final = 4 << 10

# Failures that an agent itself may report.
OWN_OUTCOMES: Final = frozenset(
    {
        pb.OUTCOME_OVER_BUDGET,
        pb.OUTCOME_RATE_LIMITED,
        pb.OUTCOME_UNAUTHORIZED,
        pb.OUTCOME_OUT_OF_CREDIT,
        pb.OUTCOME_PROVIDER_UNAVAILABLE,
    }
)


class Span(NamedTuple):
    """The start and end times of the agent's process."""

    start: datetime
    end: datetime


class Ending(NamedTuple):
    """An outcome and its reason as text. `exit_code` is the agent's, or None if a signal ended the agent."""

    outcome: "pb.Outcome.ValueType"
    reason: str = ""
    exit_code: int | None = None
    # Seconds until a rate limit ends. None: the provider did not report it.
    retry_after: float | None = None
    # The end of the rate limit in milliseconds since 1970. None: the provider did not report an exact time.
    retry_at: int | None = None

    def message(self, seconds: float | None, span: Span | None = None) -> pb.SessionFinished:
        """Returns the event's payload. `seconds` is None if the duration is unknown."""
        finished = pb.SessionFinished(outcome=self.outcome, reason=self.reason)
        if self.exit_code is not None:
            finished.exit_code = self.exit_code
        if seconds is not None:
            finished.duration.FromMilliseconds(round(seconds * 1000))
        if span is not None:
            finished.agent_start_time.FromDatetime(span.start)
            finished.agent_end_time.FromDatetime(span.end)
        if self.retry_after is not None:
            finished.retry_after.FromMilliseconds(round(self.retry_after * 1000))
        if self.retry_at is not None:
            finished.retry_time.FromMilliseconds(self.retry_at)
        return finished


def agent_ending(ended: Exit, said: pb.SessionFinished | None) -> Ending:
    """Returns how the agent ended. `said`, the agent's own report, can add a failure but not hide one."""
    if cut_short := _cut_short(ended):
        return cut_short
    if said is not None and said.outcome != pb.OUTCOME_SUCCEEDED:
        return Ending(
            said.outcome if said.outcome in OWN_OUTCOMES else pb.OUTCOME_FAILED,
            clip(said.reason, MAX_REASON_BYTES) or "the agent says that it failed",
            ended.code,
            *_wish(said),
        )
    if ended.signal is not None:
        why = ", as the system does where memory runs out" if ended.signal == signal.SIGKILL else ""
        return Ending(pb.OUTCOME_FAILED, f"the agent was ended by {signal_name(ended.signal)}{why}")
    if ended.code == os.EX_TEMPFAIL:
        wish = _wish(said or pb.SessionFinished())
        return Ending(
            pb.OUTCOME_RATE_LIMITED,
            f"the agent asks to be started later: exit code {ended.code}",
            ended.code,
            *wish,
        )
    if ended.code:
        return Ending(pb.OUTCOME_FAILED, f"the agent exited with code {ended.code}", ended.code)
    return Ending(pb.OUTCOME_SUCCEEDED, exit_code=0)


def without_model(ending: Ending, *, answered: bool) -> Ending:
    """Returns the ending of an agent that calls a model. Success without an answer from it is a failure."""
    if answered or ending.outcome != pb.OUTCOME_SUCCEEDED:
        return ending
    return Ending(
        pb.OUTCOME_FAILED,
        "the agent ended without an answer of its model: it neither said nor did anything. Perhaps a hook of the"
        " repository blocks prompts, the agent took the prompt for a command of its own, or the model refused",
        ending.exit_code,
    )


def _wish(said: pb.SessionFinished) -> tuple[float | None, int | None]:
    """Returns when the agent requests to be restarted, as the last two fields of an Ending."""
    return (
        said.retry_after.ToNanoseconds() / 1e9 if said.HasField("retry_after") else None,
        said.retry_time.ToMilliseconds() if said.HasField("retry_time") else None,
    )


def _cut_short(ended: Exit) -> Ending | None:
    """Returns the ending if the agent could not start, was lost or exceeded a limit; otherwise None."""
    if ended.error:
        return Ending(pb.OUTCOME_FAILED, f"the agent could not be started: {ended.error}")
    if ended.lost:
        return Ending(pb.OUTCOME_LOST, "the agent's supervisor was killed")
    if ended.exceeded:
        return Ending(pb.OUTCOME_FAILED, f"the agent and what it started {ended.exceeded}")
    return None


def check_failure(report: pb.CheckFinished) -> str:
    """Returns a message that explains why a check failed."""
    if report.HasField("exit_code"):
        return f"check '{report.name}' failed with exit code {report.exit_code}"
    return f"check '{report.name}' was ended by a signal or did not start"


def timed_out(limit: Duration) -> Ending:
    """Returns the ending of a session that took longer than `limit`."""
    seconds = limit.ToNanoseconds() / 1e9
    return Ending(pb.OUTCOME_TIMED_OUT, f"over its time limit of {seconds:g} s")


def setup_failed(report: Report) -> Ending:
    """Returns the ending of a session whose setup failed."""
    if report.lost:
        return Ending(pb.OUTCOME_LOST, "the supervisor of the project's setup was killed")
    return Ending(pb.OUTCOME_SETUP_FAILED, report.reason("the project's setup failed"))


def used_up(budget: int) -> Ending:
    """Returns the ending of a session that has used up its `budget`, in millionths of a US dollar."""
    return Ending(
        pb.OUTCOME_OVER_BUDGET, f"it has used up what was left of its budget (${budget / 1_000_000:g})"
    )


def silent(limit: Duration) -> Ending:
    """Returns the ending of a session whose agent was silent for `limit`."""
    seconds = limit.ToNanoseconds() / 1e9
    return Ending(pb.OUTCOME_FAILED, f"the agent said and did nothing for {seconds:g} s")


def half_silent(limit: Duration) -> pb.SessionSilent:
    """Returns the report of an agent that has been silent for half of `limit`."""
    told = pb.SessionSilent(limit=limit)
    told.silence.FromNanoseconds(limit.ToNanoseconds() // 2)
    return told


def disk_failed(error: OSError) -> Ending:
    """Returns the ending of a session whose events cannot be written to disk."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Ending(pb.OUTCOME_FAILED, "the worker's disk is full; make room below its HEDDLE_HOME")
    return Ending(pb.OUTCOME_FAILED, f"the worker cannot write the session's log: {error.strerror or error}")
