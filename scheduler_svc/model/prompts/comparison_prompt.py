"""The prompt of an agent that compares the candidates of a task, and its answer. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

from heddle import pb
from scheduler_svc.model.prompts.review_answer import UnreadableError, object_of, short
from scheduler_svc.model.prompts.review_prompt import MAX_DIFF_BYTES, fenced

_FORM: Final = """\
End your answer with exactly one block of this form:

```json
{"best": 1, "reason": "why its work is the best of them"}
```

"best" is the number of one of the candidates above."""


def diff_bytes(comparison: pb.Comparison) -> int:
    """Returns how many bytes of each candidate's change fit into the prompt."""
    return MAX_DIFF_BYTES // max(len(comparison.candidates), 1)


def for_comparison(
    task: str, asked: pb.PlanChoice, review: pb.Review, diffs: Mapping[int, tuple[str, bool]]
) -> str:
    """Returns the prompt. `diffs` has the change of each candidate by number, and whether it is all of it."""
    return "\n".join(_for_comparison(task, asked, review, diffs))


def _for_comparison(
    task: str, asked: pb.PlanChoice, review: pb.Review, diffs: Mapping[int, tuple[str, bool]]
) -> Iterator[str]:
    compared = review.comparison.candidates
    yield f"{len(compared)} agents have done the same task, each on its own. Compare their work, and choose the best."
    yield "Change nothing: whatever you change is discarded. The checks of all of them passed."
    yield "\nThe task was:\n"
    yield from (f"    {line}" for line in task.splitlines())
    for each in compared:
        score = f", score {each.score:g}" if each.HasField("score") else ""
        diff, whole = diffs[each.candidate]
        yield f"\nCandidate {each.candidate}{score}:\n"
        yield fenced(diff)
        shows = f"`git diff {each.commit}^ {each.commit}`"
        yield f"{shows} shows it." if whole else f"The change continues: {shows} shows all of it."
    yield "\nChoose the candidate whose work does the task best, and is correct.\n"
    if asked.prompt:
        yield f"{asked.prompt}\n"
    yield _FORM
    if review.problem:
        yield f"\nYou were asked before, but your answer could not be used: {review.problem}"


def judged(review: pb.Review, text: str) -> pb.Review:
    """Returns the comparison with the answer in an agent's final message; raises UnreadableError."""
    said = object_of(text)
    numbers = [each.candidate for each in review.comparison.candidates]
    known = f"{', '.join(map(str, numbers[:-1]))} or {numbers[-1]}"
    if not isinstance(said, dict):
        raise UnreadableError('it is not an object with "best" and "reason"')
    best, reason = said.get("best"), said.get("reason")
    if isinstance(best, bool) or best not in numbers:
        raise UnreadableError(f'"best" must be {known}, not {str(best)[:60]!r}')
    if not isinstance(reason, str) or not reason.strip():
        raise UnreadableError('"reason" must say why that candidate is the best')
    done = pb.Review()
    done.CopyFrom(review)
    done.ClearField("problem")
    done.comparison.best = int(best)
    done.comparison.reason = short(reason)
    return done
