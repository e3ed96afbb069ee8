"""What people read about drafts of plans. Pure."""

from typing import Final

from heddle import pb
from heddle.drafts.prompt import declined, remark_line
from heddle.errors import HeddleError

# A reason is shown in one line; GetDraft returns everything.
_MOST_SHOWN: Final = 3
_MOST_WORDS: Final = 300


def rejection(draft: pb.Draft, *, again: bool) -> str:
    """Returns the reason. `again`: the agent gets another round."""
    found = draft.problems or draft.warnings
    shown = "; ".join(remark_line(each) for each in found[:_MOST_SHOWN])
    more = f"; and {len(found) - _MOST_SHOWN} more" if len(found) > _MOST_SHOWN else ""
    if not draft.problems:
        return f"remarks on the plan go back to the agent: {shown}{more}"
    if declined(draft) and not again:
        return f"the agent proposes no change: {_first_line(draft.reasons)}"
    if again:
        return f"errors of the plan go back to the agent: {shown}{more}"
    return f"no valid plan: {shown}{more}"


def _first_line(text: str) -> str:
    words = next((line.strip() for line in text.splitlines() if line.strip()), "it gives no reason")
    return words if len(words) <= _MOST_WORDS else f"{words[: _MOST_WORDS - 1]}…"


def not_for_drafts(name: object, advice: str) -> HeddleError:
    """Returns the error for a call that a draft does not allow."""
    return HeddleError(pb.ERROR_REASON_WRONG_STATE, f"{name} is a draft of a plan: {advice}", state="draft")
