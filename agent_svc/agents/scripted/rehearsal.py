"""The steps that the scripted agent plays for a task without a script."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from heddle import pb

# A conflict: the text of both sides between `<<<<<<<` and `>>>>>>>`.
_CONFLICT: Final = re.compile(
    r"^<{7}[^\n]*\n(?P<ours>.*?)(?:^\|{7}[^\n]*\n.*?)?^={7}\n(?P<theirs>.*?)^>{7}[^\n]*\n",
    re.MULTILINE | re.DOTALL,
)

# Larger files are not searched for conflicts.
_MAX_BYTES: Final = 1 << 20


def rehearsal(request: pb.StartSessionRequest, worktree: Path) -> list[pb.ScriptStep]:
    """Returns steps that cost nothing: they resolve the conflicts in `worktree`, or repeat the prompt in a note."""
    return list(_resolution(dict(_conflicts(worktree)))) or _note(request)


def _note(request: pb.StartSessionRequest) -> list[pb.ScriptStep]:
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


def _conflicts(worktree: Path) -> Iterator[tuple[str, str]]:
    """Yields the files with conflict markers, each with its text."""
    for folder, folders, files in os.walk(worktree):
        folders[:] = sorted(name for name in folders if name not in {".git", ".heddle"})
        for name in sorted(files):
            path = Path(folder, name)
            if path.is_symlink() or not path.is_file() or path.stat().st_size > _MAX_BYTES:
                continue
            text = path.read_bytes().decode(errors="replace")
            if _CONFLICT.search(text) and "\ufffd" not in text:
                yield str(path.relative_to(worktree)), text


def _resolution(conflicts: dict[str, str]) -> Iterator[pb.ScriptStep]:
    """Yields the steps that keep both sides of every conflict."""
    if not conflicts:
        return
    names = ", ".join(conflicts)
    thought = f"Both sides changed {names} in the same place. Neither replaces the other, so both lines stay."
    yield pb.ScriptStep(think=pb.ScriptStep.Say(text=thought))
    yield pb.ScriptStep(run=pb.ScriptStep.RunCommand(command="git grep -n -A 6 '^<<<<<<<'"))
    for path, text in conflicts.items():
        kept = _CONFLICT.sub(lambda found: found["ours"] + found["theirs"], text)
        yield pb.ScriptStep(write=pb.ScriptStep.WriteFile(path=path, text=kept))
    yield pb.ScriptStep(
        say=pb.ScriptStep.Say(text=f"Kept what either side added to {names}. The checks decide.")
    )
