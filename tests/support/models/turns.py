"""What a scripted model answers, whichever API it speaks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Call:
    """A tool that the model wants to use."""

    name: str
    input: Mapping[str, Any]


@dataclass(frozen=True)
class Turn:
    """One answer of the model."""

    text: str = ""
    thinking: str = ""
    calls: Sequence[Call] = ()
    input_tokens: int = 1000
    output_tokens: int = 100
    # Says the text and then nothing more, with the answer left open.
    holds: bool = False
    # It ends as an answer of a model that will not work on this.
    refuses: bool = False


@dataclass(frozen=True)
class Failure:
    """An answer that is an error; as the last of a play it is the answer to everything that follows."""

    status: int
    message: str = "scripted failure"
    headers: Mapping[str, str] = field(default_factory=dict)
    # More fields of the error, or others in place of the usual ones.
    error: Mapping[str, Any] = field(default_factory=dict)


Answer: TypeAlias = Turn | Failure

# What the model says where nobody wrote anything down.
DONE = Turn(text="Done.")


class Play:
    """The answers to the requests of the sessions whose prompt holds a marker."""

    def __init__(self, answers: Sequence[Answer], marker: str = "") -> None:
        self._answers = list(answers)
        self._marker = marker

    def concerns(self, body: Mapping[str, Any]) -> bool:
        """Says whether a request belongs to this play."""
        return self._marker in json.dumps(body, ensure_ascii=False)

    def next(self) -> Answer:
        """Returns the next answer."""
        if not self._answers:
            return DONE
        if len(self._answers) == 1 and isinstance(self._answers[0], Failure):
            return self._answers[0]
        return self._answers.pop(0)
