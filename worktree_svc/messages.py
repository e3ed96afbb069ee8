"""The words of Heddle's commits: subject, body, and trailers that say whose work it is."""

import re
from collections.abc import Mapping

from heddle.names import AttemptName, EpicName, RunName

RUN = "Heddle-Run"
EPIC = "Heddle-Epic"
TASK = "Heddle-Task"
ATTEMPT = "Heddle-Attempt"
# In a squashed merge: the source's commit, which history does not tell.
MERGED = "Heddle-Merged"

# git refuses NUL; the others would garble a terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def attempt_trailers(attempt: AttemptName) -> dict[str, str]:
    """Returns what names an attempt in its commit."""
    return {
        RUN: str(RunName(attempt.run)),
        EPIC: attempt.epic,
        TASK: attempt.task,
        ATTEMPT: str(attempt.number),
    }


def merge_trailers(resource: RunName | EpicName) -> dict[str, str]:
    """Returns what names a run, and an epic if it is one's, in a merge commit."""
    trailers = {RUN: str(RunName(resource.run))}
    if isinstance(resource, EpicName):
        trailers[EPIC] = resource.epic
    return trailers


def compose(subject: str, body: str, trailers: Mapping[str, str]) -> str:
    """Returns a commit message; an empty subject gets a plain one."""
    first = " ".join(_CONTROLS.sub(" ", subject).split())
    rest = _CONTROLS.sub("", body).strip()
    block = "\n".join(f"{key}: {value}" for key, value in trailers.items())
    paragraphs = [first or "Work of an agent", *([rest] if rest else []), block]
    return "\n\n".join(paragraphs) + "\n"


def trailers_of(message: str) -> dict[str, str]:
    """Returns the Heddle trailers in the last paragraph of a commit message."""
    last = message.rstrip().split("\n\n")[-1]
    pairs = (line.partition(": ") for line in last.splitlines())
    return {key: value for key, separator, value in pairs if separator and key.startswith("Heddle-")}
