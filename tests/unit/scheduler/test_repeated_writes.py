"""A row that is written a second time with other content stays as it was."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from heddle import pb
from heddle.errors import HeddleError
from heddle.identity.principals import Principal
from heddle.names import AttemptName
from scheduler_svc.store.db.identity_tables import tokens as tokens_table
from scheduler_svc.store.db.tables import artifacts as artifacts_table
from scheduler_svc.store.rows import artifacts
from scheduler_svc.store.rows.callers import tokens
from scheduler_svc.store.rows.callers.tokens import NewToken, TokenKind

OWNER = Principal("ada", pb.ROLE_VIEWER)


@pytest.fixture(name="connection")
def _connection() -> Iterator[sa.Connection]:
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def ids(connection: sa.Connection) -> set[str]:
    return set(connection.execute(sa.select(tokens_table.c.id)).scalars())


def test_the_first_end_of_a_token_counts(connection: sa.Connection) -> None:
    """A token that is revoked again ended the first time, from which on it is kept for a while."""
    tokens_table.create(connection)
    for name, expires_at in (("revoked", None), ("expired", 10), ("valid", None)):
        tokens.insert(connection, NewToken(name, TokenKind.TOKEN, OWNER, "", expires_at), name, now=1)
    for now in (10, 20):
        tokens.revoke(connection, "revoked", now)
    with pytest.raises(HeddleError, match="tokens/unknown"):
        tokens.revoke(connection, "unknown", 20)
    assert [tokens.find(connection, name, 9) is None for name in ("revoked", "expired", "valid")] == [
        True,
        False,
        False,
    ]
    assert tokens.find(connection, "expired", 10) is None
    tokens.forget_expired(connection, 10, 30)
    assert ids(connection) == {"revoked", "expired", "valid"}
    tokens.forget_expired(connection, 11, 30)
    assert ids(connection) == {"valid"}


def test_the_first_copy_of_a_screenshot_counts(connection: sa.Connection) -> None:
    """A second copy of it changes nothing; each copy needs 4 KiB of its run's room besides its bytes."""
    attempt = AttemptName("r", "a", "one", 1)
    run = attempt.parent.parent.parent
    artifacts_table.create(connection)
    assert artifacts.room(connection, run, 10_000) == 10_000 - 4096
    for data in (b"first", b"another"):
        artifacts.keep(connection, attempt, "1.png", data)
    assert artifacts.read(connection, attempt, "1.png") == b"first"
    assert artifacts.read(connection, attempt, "2.png") is None
    assert artifacts.room(connection, run, 10_000) == 10_000 - 5 - 2 * 4096
