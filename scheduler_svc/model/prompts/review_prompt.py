"""The prompts of a reviewer, and of an agent whose work a review rejected. Pure."""

import re
from collections.abc import Iterator
from typing import Final

from heddle import pb
from scheduler_svc.model.lifecycle import reviews

# Bytes of the change in a reviewer's prompt; it reads the rest with git.
MAX_DIFF_BYTES: Final = 100_000
# Of the findings in the prompt of the agent that fixes them.
_MAX_FINDINGS_BYTES: Final = 16 << 10

_FORM: Final = """\
End your answer with exactly one block of this form. If you found nothing, leave "findings" empty: []

```json
{"summary": "the work in one or two sentences",
 "findings": [{"file": "src/name.py", "line": 12, "severity": "error|warning|note", "text": "what is wrong, and why"}]}
```

Choose one severity for each finding. error: the work must not be accepted as it is. warning: it should be improved.
note: a remark. Leave out "file" and "line" if a finding is not about one place."""


def for_reviewer(task: str, asked: pb.PlanReview, review: pb.Review, diff: str, *, whole: bool) -> str:
    """Returns the prompt of a reviewer; `task` is the task's prompt, `diff` the change, `whole` if it is all of it."""
    return "\n".join(_for_reviewer(task, asked, review, diff, whole=whole))


def _for_reviewer(
    task: str, asked: pb.PlanReview, review: pb.Review, diff: str, *, whole: bool
) -> Iterator[str]:
    shows = f"`git diff {review.commit}^ {review.commit}`"
    yield "Review the work of another agent. Change nothing: whatever you change is discarded."
    yield f"The work is in this worktree, not committed yet; {shows} shows the change. Its checks passed."
    if review.round > 1:
        yield f"This is round {review.round} of {review.rounds}: you rejected the work before, and the agent changed it."
    yield "\nThe task of the agent was:\n"
    yield from (f"    {line}" for line in task.splitlines())
    yield "\nIts change:\n"
    yield fenced(diff)
    if not whole:
        yield f"The change continues: {shows} shows all of it."
    yield "\nDecide whether the work does its task, and whether it is correct.\n"
    if asked.prompt:
        yield f"{asked.prompt}\n"
    yield _FORM
    if review.problem:
        yield f"\nYou were asked before, but your answer could not be used: {review.problem}"


def fenced(diff: str) -> str:
    """Returns a change as a block of Markdown."""
    fence = "`" * max(3, *(len(each) + 1 for each in re.findall(r"`+", diff))) if "`" in diff else "```"
    return f"{fence}diff\n{diff.rstrip()}\n{fence}"


def for_worker(prompt: str, agent: str, rejected: pb.Review, *, files_kept: bool) -> str:
    """Returns the prompt of the attempt that fixes what the review `rejected` found."""
    files = (
        "Your files are as you left them."
        if files_kept
        else f"That work is kept: `git diff {rejected.commit}^ {rejected.commit}` shows it."
    )
    text = (
        f"{prompt}\n\n---\n[Heddle] The checks of attempt {rejected.attempt} passed, but its review by {agent} found errors"
        f" (round {rejected.round} of {rejected.rounds}). Fix them. {files}\n"
    )
    room = _MAX_FINDINGS_BYTES
    for finding in rejected.findings:
        if finding.severity != reviews.ERROR:
            continue
        lines = finding.text.splitlines()
        entry = f"\n- {place(finding)}{lines[0]}\n" + "".join(f"  {line}\n" for line in lines[1:])
        room -= len(entry.encode())
        if room < 0:
            return f"{text}\nMore findings are not listed here.\n"
        text += entry
    return text


def place(finding: pb.ReviewFinding) -> str:
    """Returns where a finding is, followed by a colon and a space; empty if it is not about one place."""
    if not finding.file:
        return ""
    return f"{finding.file}:{finding.line}: " if finding.line else f"{finding.file}: "
