"""Unusable database URLs are reported before anything starts."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from heddle.config import ConfigError
from scheduler_svc.store.db.engine import open_engine


@pytest.mark.parametrize(
    "url", ["rubbish", "sqlite://", "mysql://ada:secret@host/x", "postgresql://ada:secret@host:notaport/x"]
)
def test_url_that_names_no_database_is_refused(url: str) -> None:
    """A malformed URL or an unsupported database is a setting error that hides the password."""
    with pytest.raises(ConfigError, match="HEDDLE_DATABASE_URL") as caught:
        open_engine(url)
    assert "secret" not in str(caught.value)


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A database path below a file is rejected, and the message contains the path."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/heddle\.db cannot be made"):
        open_engine(f"sqlite:///{tmp_path}/file/heddle.db")


def test_url_of_postgresql_decides_how_to_connect() -> None:
    """Parameters of libpq in the URL, such as those of TLS, are passed on and replace our own."""
    engine = open_engine("postgresql://ada@host/x?sslmode=verify-full&sslrootcert=/ca.pem&connect_timeout=2")
    given: dict[str, object] = {}

    @sa.event.listens_for(engine, "do_connect")
    def connect(
        _dialect: object, _record: object, _positional: object, parameters: dict[str, object]
    ) -> None:
        given.update(parameters)
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        engine.connect()
    assert given["sslmode"] == "verify-full"
    assert given["sslrootcert"] == "/ca.pem"
    assert given["connect_timeout"] == "2"
    # A standby is not connected to.
    assert given["target_session_attrs"] == "read-write"
