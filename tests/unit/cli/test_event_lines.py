from heddle import pb
from heddle.cli.console import event_lines
from heddle.cli.console.transcript import Transcript


def test_line_says_where_it_happened() -> None:
    """A line names the epic, task and attempt that the event belongs to."""
    event = pb.Event(sequence=12, epic="api", task="model", attempt=2)
    event.task_failed.reason = "a check failed"
    event.task_failed.will_retry = True
    assert event_lines.line(event).endswith("api/model/2: failed: a check failed; another attempt follows")


def test_line_is_one_line() -> None:
    """A reason with line breaks is printed on the line of its event."""
    event = pb.Event(
        sequence=1,
        merge_conflicted=pb.MergeConflicted(target_branch="main", files=["a"], advice="git x\ngit y"),
    )
    assert event_lines.line(event).endswith("conflicts with main in a | git x | git y")


def test_transcript_joins_the_pieces_of_a_message() -> None:
    """Pieces of a message are joined; the next event begins on its own line."""
    said = [
        pb.Event(message=pb.Message(text="I will ")),
        pb.Event(message=pb.Message(text="write it.", last=True)),
        pb.Event(output=pb.Output(text="half a line")),
        pb.Event(tool_started=pb.ToolStarted(name="Edit", target="a.py")),
        pb.Event(output=pb.Output(text="whole\n")),
        pb.Event(session_finished=pb.SessionFinished(outcome=pb.OUTCOME_SUCCEEDED)),
    ]
    transcript = Transcript()
    text = "".join(transcript.text(event) for event in said)
    assert text == "I will write it.\nhalf a line\n[⚡ Edit a.py]\nwhole\n[session succeeded]\n"


def test_transcript_ends_a_message_whose_last_piece_is_empty() -> None:
    """An empty last piece also ends the line."""
    transcript = Transcript()
    text = transcript.text(pb.Event(message=pb.Message(text="done")))
    text += transcript.text(pb.Event(message=pb.Message(last=True)))
    assert text == "done\n"


def test_what_a_terminal_would_obey_is_left_out() -> None:
    """A reason that an agent wrote can neither color the line nor ring the bell."""
    event = pb.Event(sequence=1, run_paused=pb.RunPaused(reason="\x1b[31mred\x07"))
    assert event_lines.line(event).endswith("run paused: red")


def test_what_a_sub_agent_does_is_marked() -> None:
    """A sub-agent's text and calls are distinguished from those of the agent that started it."""
    said = [
        pb.Event(message=pb.Message(text="I ask it.", last=True)),
        pb.Event(message=pb.Message(text="I look.", last=True, parent_tool_call_id="1")),
        pb.Event(tool_started=pb.ToolStarted(name="Read", target="a.py", parent_tool_call_id="1")),
    ]
    transcript = Transcript()
    assert "".join(map(transcript.text, said)) == "I ask it.\n↳ I look.\n[↳ ⚡ Read a.py]\n"
