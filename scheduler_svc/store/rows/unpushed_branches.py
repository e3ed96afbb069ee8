"""Records which branches the remote of a run's project has refused."""

from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from heddle import pb
from heddle.names import RunName
from scheduler_svc.store.db.tables import runs as runs_table
from scheduler_svc.store.rows import runs


def note_pushes(
    connection: sa.Connection, run: RunName, branches: Iterable[str], refused: Mapping[str, str]
) -> None:
    """Records a push of `branches`. `refused` has, by branch, why the remote refused it."""
    chosen = sa.select(runs_table.c.unpushed).where(runs_table.c.run == run.run)
    stored = connection.execute(chosen).scalar_one_or_none()
    if stored is None and not refused:
        return
    before = unpushed(stored)
    after = {branch: error for branch, error in before.items() if branch not in set(branches)} | dict(refused)
    if after != before:
        runs.change(connection, run, unpushed=_packed(after))


def unpushed(stored: bytes | None) -> dict[str, str]:
    """Decodes the column: returns why each branch was refused, by branch."""
    return {each.branch: each.error for each in pb.Run.FromString(stored or b"").unpushed}


def unpushed_error(stored: bytes | None, branch: str) -> str:
    """Returns why the remote refused `branch`; empty if it did not."""
    return unpushed(stored).get(branch, "") if stored else ""


def _packed(errors: Mapping[str, str]) -> bytes | None:
    if not errors:
        return None
    listed = [pb.UnpushedBranch(branch=branch, error=error) for branch, error in sorted(errors.items())]
    return pb.Run(unpushed=listed).SerializeToString()
