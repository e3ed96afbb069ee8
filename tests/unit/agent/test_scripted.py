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


def test_rehearsal_says_and_notes_the_prompt(tmp_path: Path) -> None:
    """A rehearsal prints the prompt and writes it into a file named after the task."""
    request = pb.StartSessionRequest(attempt="runs/r/epics/api/tasks/login/attempts/2", prompt="Do it")
    steps = rehearsal(request, tmp_path)
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


def test_a_rehearsal_resolves_conflicts_by_keeping_both_sides(tmp_path: Path) -> None:
    """Conflicts, also with the common ancestor, are resolved in every file; other files and binary ones are left alone."""
    (tmp_path / "folder").mkdir()
    for name, ancestor in (("a.txt", ""), ("folder/b.txt", "||||||| base\nold\n")):
        (tmp_path / name).write_text(f"1\n<<<<<<< ours\n2\n{ancestor}=======\n3\n>>>>>>> theirs\n4\n")
    (tmp_path / "c.txt").write_text("<<<<<<< only a quote\n")
    (tmp_path / "d.bin").write_bytes(b"<<<<<<< a\n\xff\n=======\n>>>>>>> b\n")
    request = pb.StartSessionRequest(
        attempt="runs/r/epics/api/tasks/resolve-1/attempts/1", prompt="Resolve it"
    )
    writes = [step.write for step in rehearsal(request, tmp_path) if step.HasField("write")]
    assert {write.path: write.text for write in writes} == {
        "a.txt": "1\n2\n3\n4\n",
        "folder/b.txt": "1\n2\n3\n4\n",
    }
