"""The tables of tokens and of preferences; see tables.py for what all tables have in common."""

import sqlalchemy as sa

from scheduler_svc.store.db.tables import metadata

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    # A TokenKind.
    sa.Column("kind", sa.Integer, nullable=False),
    # SHA-256 of the secret.
    sa.Column("hash", sa.LargeBinary, nullable=False, unique=True),
    # The actor of its owner, and its pb.Role.
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("role", sa.Integer, nullable=False),
    # A JSON array of the projects to which it is limited. Empty: no limit.
    sa.Column("projects", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    # Null: it does not expire.
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("revoked_at", sa.BigInteger),
)

preferences = sa.Table(
    "preferences",
    metadata,
    # The actor, such as user:ada.
    sa.Column("user", sa.Text, primary_key=True),
    # pb.Preferences
    sa.Column("record", sa.LargeBinary, nullable=False),
)
