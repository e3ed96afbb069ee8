"""The answers of a scripted model, for every API."""

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
    # Sends the text and then nothing more, with the answer left open.
    holds: bool = False
    # It ends like the answer of a model that refuses the request.
    refuses: bool = False


@dataclass(frozen=True)
class Failure:
    """An answer that is an error; as the last one of a play it answers every later request."""

    status: int
    message: str = "scripted failure"
    headers: Mapping[str, str] = field(default_factory=dict)
    # More fields of the error, or replacements of the usual ones.
    error: Mapping[str, Any] = field(default_factory=dict)


def used_up_subscription(resets_at: int) -> Failure:
    """Returns Anthropic's refusal of a subscription whose five-hour limit ends at `resets_at`, in seconds since 1970."""
    limit = "anthropic-ratelimit-unified"
    headers = {
        f"{limit}-status": "rejected",
        f"{limit}-reset": str(resets_at),
        f"{limit}-representative-claim": "five_hour",
        f"{limit}-5h-status": "rejected",
        f"{limit}-5h-reset": str(resets_at),
    }
    return Failure(429, headers=headers)


Answer: TypeAlias = Turn | Failure

# The answer if the test defines none.
DONE = Turn(text="Done.")


class Play:
    """The answers to the requests of the sessions whose prompt contains a marker."""

    def __init__(self, answers: Sequence[Answer], marker: str = "") -> None:
        self._answers = list(answers)
        self._marker = marker

    def concerns(self, body: Mapping[str, Any]) -> bool:
        """Returns whether a request belongs to this play."""
        return self._marker in json.dumps(body, ensure_ascii=False)

    def next(self) -> Answer:
        """Returns the next answer."""
        if not self._answers:
            return DONE
        if len(self._answers) == 1 and isinstance(self._answers[0], Failure):
            return self._answers[0]
        return self._answers.pop(0)
