import io
from pathlib import Path

from agent_svc.agents.base import protocol
from agent_svc.agents.scripted.input_lines import InputLines
from agent_svc.agents.scripted.player import Player
from agent_svc.agents.scripted.rehearsal import rehearsal
from agent_svc.agents.scripted.stage import Stage
from heddle import pb


def test_player_knows_every_step() -> None:
    """The scripted agent plays every step that a plan can contain."""
    player = Player(Stage(InputLines(-1), io.BytesIO(), speed=0), Path(), attempt=1)
    assert set(player._acts) == {
        field.name for field in pb.ScriptStep.DESCRIPTOR.oneofs_by_name["step"].fields
    }


def test_rehearsal_says_and_notes_the_prompt() -> None:
    """A rehearsal prints the prompt and writes it into a file named after the task."""
    request = pb.StartSessionRequest(attempt="runs/r/epics/api/tasks/login/attempts/2", prompt="Do it")
    steps = rehearsal(request)
    assert "Do it" in steps[0].say.text
    (note,) = [step.write for step in steps if step.HasField("write")]
    assert note.path == "rehearsal/api/login.md"
    assert "Do it" in note.text


def test_a_plan_says_how_far_it_is() -> None:
    """Progress is reported as other agents do: as a call of the task list tool, with a checklist."""
    told = io.BytesIO()
    player = Player(Stage(InputLines(-1), told, speed=0), Path(), attempt=1)
    player.play(pb.ScriptStep(plan=pb.ScriptStep.Plan(steps=["Read", "Write", "Test"], done=1)))
    started = protocol.parse_event(told.getvalue().splitlines()[0]).tool_started
    assert (started.name, started.input) == ("TodoWrite", "- [x] Read\n- [>] Write\n- [ ] Test")
