"""The steps that the scripted agent plays for a task without a script."""

from heddle import pb


def rehearsal(request: pb.StartSessionRequest) -> list[pb.ScriptStep]:
    """Returns steps that repeat the prompt and write it to a note; they cost nothing."""
    _, _, _, epic, _, task, _, _ = request.attempt.split("/")
    note = f"rehearsal/{epic}/{task}.md"
    prompt = request.prompt.strip() or "(no prompt)"
    said = f"This is a rehearsal of {epic}/{task}. I was asked:\n\n{prompt}\n"
    thought = "A real agent would now do the work. I only leave a note, so that the whole path is walked."
    text = f"# {task}\n\nRehearsed in attempt {request.attempt}.\n\n{prompt}\n"
    return [
        pb.ScriptStep(say=pb.ScriptStep.Say(text=said)),
        pb.ScriptStep(think=pb.ScriptStep.Say(text=thought)),
        pb.ScriptStep(write=pb.ScriptStep.WriteFile(path=note, text=text)),
        pb.ScriptStep(say=pb.ScriptStep.Say(text=f"Wrote {note}. Done.")),
    ]
