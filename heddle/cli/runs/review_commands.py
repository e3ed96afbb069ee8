"""Shows what reviewers found in the work of a run."""

from collections.abc import Iterator

import typer

from heddle import pb
from heddle.cli.console import output, resource_names, tables, words
from heddle.cli.console.arguments import RunArgument
from heddle.cli.console.output import Json, with_client

app = typer.Typer()

_VERDICTS = {pb.REVIEW_VERDICT_PASSED: "passed", pb.REVIEW_VERDICT_REJECTED: "rejected"}


@app.command(name="reviews")
def list_reviews(run: RunArgument, as_json: Json = False) -> None:
    """Show the reviews of a run with their findings, by task and round."""
    name = resource_names.run_name(run)
    attempts = output.run_async(with_client(lambda client: client.list_attempts(f"{name}/epics/-/tasks/-")))
    found = [each for each in attempts if each.HasField("review")]
    for each in found:
        if as_json:
            output.print_json(each)
        else:
            for line in lines_of(each):
                output.line(line)
    if not found and not as_json:
        output.print_message("no work of this run has been reviewed")


def lines_of(attempt: pb.Attempt) -> Iterator[str]:
    """Yields the lines about one review: what it decided, and its findings."""
    review = attempt.review
    if review.HasField("comparison"):
        yield from _comparison_lines(attempt, review.comparison)
        return
    verdict = _VERDICTS.get(review.verdict) or words.state(attempt)
    number = f"round {review.round} of {review.rounds}" if review.blocking else "not blocking"
    yield f"{tables.short_name(attempt.name)}: {words.plain(attempt.agent)} {verdict} attempt {review.attempt} ({number})"
    if attempt.reason:
        yield f"  {words.plain(attempt.reason)}"
    if review.summary:
        yield f"  {words.plain(review.summary)}"
    for finding in review.findings:
        severity = pb.ReviewSeverity.Name(finding.severity).rpartition("_")[2].lower()
        where = f"{finding.file}:{finding.line}" if finding.line else finding.file
        first, *rest = words.plain(finding.text).splitlines()
        yield f"  {severity} {words.plain(where)}{': ' if where else ''}{first}"
        yield from (f"    {line}" for line in rest)


def _comparison_lines(attempt: pb.Attempt, comparison: pb.Comparison) -> Iterator[str]:
    numbers = [str(each.candidate) for each in comparison.candidates]
    of = f"candidates {', '.join(numbers[:-1])} and {numbers[-1]}"
    chose = f"chose candidate {comparison.best}" if comparison.best else words.state(attempt)
    yield f"{tables.short_name(attempt.name)}: {words.plain(attempt.agent)} compared {of}: {chose}"
    if text := comparison.reason or attempt.reason:
        yield f"  {words.plain(text)}"
