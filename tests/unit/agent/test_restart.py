"""When an agent that was killed is started again within its session, and what it is told then."""

from typing import cast

import pytest

from agent_svc.agents.base.driver import Launch, Translator
from agent_svc.processes.supervised import Exit
from agent_svc.sessions import restart
from heddle import pb

KILLED = Exit(signal=9)
LOST = Exit()


class Told:
    """What an agent has reported so far."""

    def __init__(self, session: str, finished: pb.SessionFinished | None) -> None:
        self.agent_session_id = session
        self.finished = finished


@pytest.mark.parametrize(
    ("ended", "controlled", "session", "reported", "resumes"),
    [
        (KILLED, True, "s", None, True),
        (LOST, True, "s", None, True),
        (KILLED, False, "s", None, False),
        (KILLED, True, "", None, False),
        (KILLED, True, "s", pb.SessionFinished(outcome=pb.OUTCOME_FAILED), False),
        (Exit(code=0), True, "s", None, False),
        (Exit(code=1), True, "s", None, False),
        (Exit(error="no such program"), True, "s", None, False),
        (Exit(memory=1 << 30), True, "s", None, False),
        (Exit(processes=5000), True, "s", None, False),
    ],
)
def test_an_agent_that_was_cut_off_resumes(
    ended: Exit, controlled: bool, session: str, reported: pb.SessionFinished | None, resumes: bool
) -> None:
    """Only a resumable agent that something else killed is started again, not one that ended or used too much."""
    launch = Launch(["agent"], b"", controlled=controlled)
    assert restart.may_resume(ended, launch, cast("Translator", Told(session, reported))) is resumes


@pytest.mark.parametrize(("budget", "spent", "left"), [(100, 30, 70), (100, 100, 0), (100, 130, 0)])
def test_a_restarted_agent_has_the_rest_of_its_budget(budget: int, spent: int, left: int) -> None:
    """What the session has spent is gone, and its budget never becomes none."""
    request = pb.StartSessionRequest(prompt="Go", budget_usd_micros=budget)
    again = restart.again(request, [], spent=spent)
    assert (again.HasField("budget_usd_micros"), again.budget_usd_micros) == (True, left)
    assert request.budget_usd_micros == budget
    assert not restart.again(pb.StartSessionRequest(), [], spent=spent).HasField("budget_usd_micros")


def test_a_restarted_agent_knows_its_files_and_messages() -> None:
    """It is told that its files are kept, and all that the operator said, in order."""
    request = pb.StartSessionRequest(prompt="Go")
    again = restart.again(request, ["Use tabs", "And spaces"], spent=0)
    assert again.files_kept
    assert again.prompt.startswith("Go")
    assert 0 < again.prompt.index("Use tabs") < again.prompt.index("And spaces")
    assert restart.again(request, [], spent=0).prompt == "Go"
