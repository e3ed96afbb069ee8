"""What became of a mutant, and the form in which a worker reports it."""

import json
from enum import StrEnum

from tests.mutants.mutation import Identity


class Verdict(StrEnum):
    """Whether a test noticed a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"


def verdict_line(identity: Identity, verdict: Verdict, by: str) -> str:
    """Returns one line of JSON; `by` is the test that noticed the mutant, or why none did."""
    return json.dumps({"mutant": identity.key, "verdict": verdict, "by": by})
