import errno

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from agent_svc.processes.supervised import Exit
from agent_svc.sessions.outcome import Ending, agent_ending, disk_failed, timed_out, without_model
from heddle import pb

FAILED = pb.SessionFinished(outcome=pb.OUTCOME_FAILED, reason="no credit")
LIMITED = pb.SessionFinished(
    outcome=pb.OUTCOME_RATE_LIMITED, reason="slow down", retry_after=Duration(seconds=7)
)
OVER_BUDGET = pb.SessionFinished(outcome=pb.OUTCOME_OVER_BUDGET, reason="all spent")
# Only the scheduler sends these.
STOPPED = pb.SessionFinished(outcome=pb.OUTCOME_STOPPED, reason="no more")
OUT_OF_MEMORY = ", as the system does where memory runs out"
TOO_MANY = "the agent and what it started had 30 processes, more than HEDDLE_AGENT_PROCESSES allows"
TOO_MUCH = "the agent and what it started used 5 MiB of memory, more than HEDDLE_AGENT_MEMORY allows"
REFUSED = pb.SessionFinished(outcome=pb.OUTCOME_UNAUTHORIZED, reason="log in")
LATER = "the agent asks to be started later: exit code 75"
WISH = pb.SessionFinished(
    outcome=pb.OUTCOME_SUCCEEDED,
    retry_after=Duration(seconds=7),
    retry_time=Timestamp(seconds=1_800_000_000, nanos=500_000_000),
)
SUCCEEDED = pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)


@pytest.mark.parametrize(
    ("ended", "said", "ending"),
    [
        (Exit(code=0), None, Ending(pb.OUTCOME_SUCCEEDED, "", 0)),
        (Exit(code=3), None, Ending(pb.OUTCOME_FAILED, "the agent exited with code 3", 3)),
        (Exit(signal=9), None, Ending(pb.OUTCOME_FAILED, f"the agent was ended by SIGKILL{OUT_OF_MEMORY}")),
        (Exit(signal=99), None, Ending(pb.OUTCOME_FAILED, "the agent was ended by signal 99")),
        (Exit(signal=9, memory=5 << 20), None, Ending(pb.OUTCOME_FAILED, TOO_MUCH)),
        (Exit(memory=5 << 20), None, Ending(pb.OUTCOME_FAILED, TOO_MUCH)),
        (Exit(signal=9, processes=30), None, Ending(pb.OUTCOME_FAILED, TOO_MANY)),
        (Exit(), None, Ending(pb.OUTCOME_LOST, "the agent's supervisor was killed")),
        (Exit(error="gone"), None, Ending(pb.OUTCOME_FAILED, "the agent could not be started: gone")),
        (Exit(code=0), FAILED, Ending(pb.OUTCOME_FAILED, "no credit", 0)),
        (Exit(code=1), LIMITED, Ending(pb.OUTCOME_RATE_LIMITED, "slow down", 1, 7)),
        (Exit(code=1), OVER_BUDGET, Ending(pb.OUTCOME_OVER_BUDGET, "all spent", 1)),
        (Exit(code=1), STOPPED, Ending(pb.OUTCOME_FAILED, "no more", 1)),
        (Exit(code=0), SUCCEEDED, Ending(pb.OUTCOME_SUCCEEDED, "", 0)),
        (Exit(code=1), SUCCEEDED, Ending(pb.OUTCOME_FAILED, "the agent exited with code 1", 1)),
        (Exit(code=75), None, Ending(pb.OUTCOME_RATE_LIMITED, LATER, 75)),
        (Exit(code=75), WISH, Ending(pb.OUTCOME_RATE_LIMITED, LATER, 75, 7, 1_800_000_000_500)),
        (Exit(code=1), REFUSED, Ending(pb.OUTCOME_UNAUTHORIZED, "log in", 1)),
        (Exit(), SUCCEEDED, Ending(pb.OUTCOME_LOST, "the agent's supervisor was killed")),
    ],
)
def test_how_the_agent_ended(ended: Exit, said: pb.SessionFinished | None, ending: Ending) -> None:
    """The exit code decides; an agent's own account can add a failure but never hide one."""
    assert agent_ending(ended, said) == ending


def test_limits_are_told_in_seconds() -> None:
    """The reason shows the time limit in seconds."""
    assert timed_out(Duration(seconds=30)).reason == "over its time limit of 30 s"
    assert timed_out(Duration(nanos=500_000_000)).reason == "over its time limit of 0.5 s"


def test_full_disk_says_what_to_do() -> None:
    """A full disk is distinguished from other disk failures."""
    assert "make room" in disk_failed(OSError(errno.ENOSPC, "No space left")).reason
    assert disk_failed(OSError(errno.EIO, "Input/output error")).reason.endswith("Input/output error")


def test_absent_stays_absent() -> None:
    """An absent exit code or duration is absent in the event."""
    message = Ending(pb.OUTCOME_LOST, "gone").message(None)
    assert not message.HasField("exit_code")
    assert not message.HasField("duration")
    assert not message.HasField("retry_after")
    assert Ending(pb.OUTCOME_SUCCEEDED, exit_code=0).message(1.5).HasField("exit_code")


def test_an_agent_whose_model_never_answered_has_failed() -> None:
    """Its exit code is kept; after an answer or another failure, the outcome is unchanged."""
    well = Ending(pb.OUTCOME_SUCCEEDED, exit_code=0)
    failed = Ending(pb.OUTCOME_FAILED, "the agent exited with code 3", 3)
    assert without_model(well, answered=True) == well
    assert without_model(failed, answered=False) == failed
    silent = without_model(well, answered=False)
    assert (silent.outcome, silent.exit_code) == (pb.OUTCOME_FAILED, 0)
    assert "neither said nor did anything" in silent.reason
