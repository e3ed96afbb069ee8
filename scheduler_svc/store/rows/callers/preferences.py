"""Stores what each person has chosen for the web app."""

import sqlalchemy as sa

from heddle import pb
from scheduler_svc.store.db.identity_tables import preferences


def read(connection: sa.Connection, user: str) -> pb.Preferences:
    """Returns the preferences of an actor; empty if none were stored."""
    chosen = sa.select(preferences.c.record).where(preferences.c.user == user)
    return pb.Preferences.FromString(connection.execute(chosen).scalar() or b"")


def replace(connection: sa.Connection, user: str, chosen: pb.Preferences) -> None:
    """Stores the preferences of an actor."""
    connection.execute(sa.delete(preferences).where(preferences.c.user == user))
    row = {"user": user, "record": chosen.SerializeToString()}
    connection.execute(sa.insert(preferences), row)
