"""Adds to runs which permissions operators have granted in them."""

import sqlalchemy as sa
from alembic import op

from heddle import pb

revision = "0066"
down_revision = "0064"


def upgrade() -> None:
    """Adds the column. Earlier versions stored neither who granted a permission nor when."""
    op.add_column("runs", sa.Column("granted", sa.LargeBinary))
    fill_granted(op.get_bind())


def fill_granted(connection: sa.Connection) -> None:
    """Lists in each run what its plan allows and the newest revision of that plan does not."""
    runs = sa.table("runs", sa.column("run"), sa.column("plan"), sa.column("granted"))
    plans = sa.table("plans", sa.column("run"), sa.column("revision"), sa.column("plan"))
    for run in connection.execute(sa.select(runs.c.run)).scalars().all():
        chosen = sa.select(runs.c.plan).where(runs.c.run == run)
        revisions = sa.select(plans.c.plan).where(plans.c.run == run).order_by(plans.c.revision.desc())
        effective = connection.execute(chosen).scalar_one()
        written = connection.execute(revisions.limit(1)).scalar_one_or_none()
        if written is None or written == effective:
            continue
        own = _allowed(written)
        granted = [pb.GrantedPermission(rule=each) for each in _allowed(effective) if each not in own]
        if granted:
            column = pb.Run(granted_permissions=granted).SerializeToString()
            connection.execute(sa.update(runs).where(runs.c.run == run).values(granted=column))


def _allowed(plan: bytes) -> list[str]:
    return list(pb.Plan.FromString(plan).defaults.permissions.allow)
