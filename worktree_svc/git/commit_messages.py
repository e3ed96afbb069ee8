"""Heddle's commit messages: subject, body, and trailers that name run, epic, task and attempt."""

import re
from collections.abc import Iterable, Mapping

from heddle.names import AttemptName, EpicName, RunName

RUN = "Heddle-Run"
EPIC = "Heddle-Epic"
TASK = "Heddle-Task"
ATTEMPT = "Heddle-Attempt"
# In a squashed merge: the source's commit, which is not in the merge's history.
MERGED = "Heddle-Merged"

# git refuses NUL; the others could corrupt a terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def attempt_trailers(attempt: AttemptName) -> dict[str, str]:
    """Returns the trailers that name an attempt in its commit."""
    return {
        RUN: str(RunName(attempt.run)),
        EPIC: attempt.epic,
        TASK: attempt.task,
        ATTEMPT: str(attempt.number),
    }


def merge_trailers(resource: RunName | EpicName) -> dict[str, str]:
    """Returns the trailers that name a run, and its epic if the merge is an epic's, in a merge commit."""
    trailers = {RUN: str(RunName(resource.run))}
    if isinstance(resource, EpicName):
        trailers[EPIC] = resource.epic
    return trailers


# The most bytes to keep of the messages of an agent's own commits.
MAX_WORDS = 16 << 10


def with_own_words(body: str, own: Iterable[str]) -> str:
    """Returns `body` followed by the messages of an agent's own commits, oldest first.

    Each message appears once, without Heddle's trailers; beyond 16 KiB the rest is omitted and counted.
    """
    texts = list(dict.fromkeys(text for each in own if (text := _own(each))))
    kept: list[str] = []
    for number, text in enumerate(texts):
        if sum(len(each.encode()) for each in (*kept, text)) > MAX_WORDS:
            left = len(texts) - number
            kept.append(f"({left} more {'message' if left == 1 else 'messages'} of the agent left out)")
            break
        kept.append(text)
    return "\n\n".join(filter(None, [body.strip(), *kept]))


def _own(message: str) -> str:
    lines = _CONTROLS.sub("", message).strip().splitlines()
    return "\n".join(line for line in lines if not line.startswith("Heddle-")).strip()


def compose(subject: str, body: str, trailers: Mapping[str, str]) -> str:
    """Returns a commit message; replaces an empty subject with a generic one."""
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
