"""Commands about worktrees, present or archived, and about removing old data."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Annotated

import typer

from heddle import pb
from heddle.cli.console import output, resource_names, tables, words
from heddle.cli.console.arguments import EpicArgument
from heddle.cli.console.output import Json, with_client
from heddle.timing.clock import utc_now

app = typer.Typer()


@app.command()
def worktrees(
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="Only the worktrees of this run.")] = "",
    as_json: Json = False,
) -> None:
    """List the worktrees of a run, or of all runs: content, size and time of removal; also archived ones."""
    parent = resource_names.run_name(run) if run else "runs/-"
    found = output.run_async(with_client(lambda client: client.list_epic_worktrees(parent)))
    if as_json:
        for each in found:
            output.print_json(each)
    elif found:
        output.out.print(tables.worktrees(found, utc_now()))
        output.line("")
        for line in _sums(found):
            output.line(line)
    else:
        output.print_message("there are no worktrees, present or archived")


@app.command()
def restore(epic: EpicArgument, as_json: Json = False) -> None:
    """Restore an archived worktree at its old path, including its uncommitted changes."""
    name = resource_names.worktree_name(epic)
    restored = output.run_async(with_client(lambda client: client.restore_epic_worktree(name)))
    if as_json:
        output.print_json(restored)
    else:
        output.line(restored.path)
        output.print_message(
            f"it will be removed again {words.moment(restored.remove_time, utc_now())}; the archive is kept"
        )


@app.command()
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    as_json: Json = False,
) -> None:
    """Remove worktrees and logs of ended runs whose retention time is over, and list them."""
    removed = output.run_async(with_client(lambda client: client.collect_garbage(dry_run=dry_run)))
    if as_json:
        output.print_json(removed)
        return
    would = "would be " if dry_run else ""
    for line in _removed(removed, would, dry_run=dry_run):
        output.line(line)
    for problem in removed.problems:
        output.print_message(f"not removed: {words.plain(problem)}")


def _sums(found: Iterable[pb.EpicWorktree]) -> Iterator[str]:
    """Yields the disk usage of each run's worktrees."""
    for run, members in groupby(found, key=lambda each: each.name.split("/")[1]):
        present = [each for each in members if each.state == pb.EPIC_WORKTREE_STATE_PRESENT]
        if not present:
            continue
        size = words.size(sum(each.disk_bytes for each in present))
        unknown = sum(not each.HasField("disk_bytes") for each in present)
        excluded = f", without {words.count(unknown, 'worktree')} of unknown size" if unknown else ""
        yield f"{run}: {words.count(len(present), 'worktree')}, {size}{excluded}"
    yield "Not counted: the objects of the repositories, which all worktrees share."


def _removed(removed: pb.CollectGarbageResponse, would: str, *, dry_run: bool) -> Iterator[str]:
    freed = 0
    for worktree in removed.worktrees:
        freed += worktree.disk_bytes
        takes = words.size(worktree.disk_bytes) if worktree.HasField("disk_bytes") else "unknown size"
        kept = ""
        if worktree.dirty and dry_run:
            kept = ", archived first"
        elif worktree.archive_commit and not dry_run:
            kept = f", archived as {worktree.archive_commit[:10]}"
        yield f"worktree {tables.short_epic(worktree.name)} {would}removed ({takes}{kept})"
    for logs in removed.logs:
        size = logs.database_bytes + logs.spool_bytes
        freed += size
        sessions = words.count(logs.sessions, "session")
        yield f"logs of {logs.run.removeprefix('runs/')} {would}removed ({sessions}, {words.size(size)})"
    if removed.worktrees or removed.logs:
        yield f"{words.size(freed)} {would}freed"
    elif not removed.problems:
        yield "nothing to remove"
