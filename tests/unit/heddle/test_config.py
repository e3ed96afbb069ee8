from pathlib import Path

import pytest

from heddle.config import ConfigError, Settings, WorkerAddress
from tests.support import certificates


def test_an_empty_environment_gives_the_embedded_mode() -> None:
    """Without settings, the scheduler is on loopback, and the worker on sockets in the one data folder."""
    settings = Settings.read({"HEDDLE_HOME": "/data"})
    assert (settings.listen, settings.scheduler) == ("", "127.0.0.1:7400")
    sockets = ("unix:/data/run/worktree.sock", "unix:/data/run/agent.sock")
    assert settings.workers == (WorkerAddress("local", *sockets),)
    assert settings.database_url == f"sqlite:///{settings.home / 'heddle.db'}"
    assert settings.tls is None


def test_the_database_lies_in_the_home() -> None:
    """Each data folder has its own database."""
    assert Settings.read({"HEDDLE_HOME": "/data"}).database_url == "sqlite:////data/heddle.db"


def test_workers_are_read_in_order() -> None:
    """Each worker is configured by its name and its two addresses."""
    settings = Settings.read({"HEDDLE_WORKERS": "a=w0:1+w0:2,b=w1:1+w1:2"})
    assert settings.workers == (WorkerAddress("a", "w0:1", "w0:2"), WorkerAddress("b", "w1:1", "w1:2"))


def test_tls_takes_all_three_files(tmp_path: Path) -> None:
    """TLS is enabled if certificate, key and authority are all set."""
    tls = certificates.make(tmp_path)
    assert Settings.read(certificates.environment(tls)).tls == tls


@pytest.mark.parametrize("name", ["HEDDLE_TLS_CERT", "HEDDLE_TLS_KEY", "HEDDLE_TLS_CA"])
def test_tls_files_that_are_of_no_use_are_told(tmp_path: Path, name: str) -> None:
    """A TLS file that is missing, not PEM, or of another certificate is named before services start."""
    environ = certificates.environment(certificates.make(tmp_path / "mine"))
    with pytest.raises(ConfigError, match=f"{name} is '/nowhere', which cannot be read"):
        Settings.read({**environ, name: "/nowhere"})
    junk = tmp_path / "junk.pem"
    junk.write_text("junk\n")
    with pytest.raises(ConfigError, match=f"{name}.*{junk}"):
        Settings.read({**environ, name: str(junk)})
    if name != "HEDDLE_TLS_CA":
        others = certificates.environment(certificates.make(tmp_path / "other"))
        with pytest.raises(ConfigError, match="KEY_VALUES_MISMATCH"):
            Settings.read({**environ, name: others[name]})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEDDLE_LISTEN", "7400"),
        ("HEDDLE_LISTEN", "localhost:x"),
        ("HEDDLE_SCHEDULER", ":7400"),
        ("HEDDLE_SCHEDULER", "h:70000"),
        ("HEDDLE_WORKERS", "a=b"),
        ("HEDDLE_SLOTS", "0"),
        ("HEDDLE_SLOTS", "many"),
        ("HEDDLE_STOP_GRACE", "nan"),
        ("HEDDLE_LOG_FORMAT", "xml"),
        ("HEDDLE_TLS_CERT", "only-one"),
    ],
)
def test_a_malformed_setting_is_named(name: str, value: str) -> None:
    """A malformed variable is rejected with its name in the message."""
    with pytest.raises(ConfigError, match=name):
        Settings.read({name: value})


def test_all_malformed_settings_are_named_at_once() -> None:
    """One message has each malformed variable with its value and its valid values, and nothing else."""
    environ = {"HEDDLE_SLOTS": "0", "HEDDLE_LISTEN": "7400", "HEDDLE_SANDBOX": "maybe", "HEDDLE_POOL": "2"}
    with pytest.raises(ConfigError) as caught:
        Settings.read(environ)
    assert str(caught.value).split("; ") == [
        "HEDDLE_LISTEN is '7400'",
        "it takes host:port, as 127.0.0.1:7400",
        "HEDDLE_SLOTS is '0'",
        "it must be greater than or equal to 1",
        "HEDDLE_SANDBOX is 'maybe'",
        "it must be 'auto', 'required' or 'off'",
    ]


def test_the_given_environment_alone_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that passes an environment gets nothing from that of its own process."""
    monkeypatch.setenv("HEDDLE_SLOTS", "3")
    assert Settings.read({}).slots == 8
    assert Settings.read().slots == 3


@pytest.mark.parametrize("value", ["~/a,/b", " ~/a , /b ,"])
def test_paths_are_separated_by_commas(value: str) -> None:
    """Spaces and empty parts between commas do not count, and ~ is the user's home folder."""
    assert Settings.read({"HEDDLE_SANDBOX_WRITABLE": value}).sandbox_writable == (
        Path.home() / "a",
        Path("/b"),
    )


def test_a_setting_can_come_from_a_file(tmp_path: Path) -> None:
    """NAME_FILE names a file with the value, so that a secret is in no environment; the last newline is not part of it."""
    file = tmp_path / "url"
    file.write_text("postgresql+psycopg://ada:secret@host/heddle\n")
    settings = Settings.read({"HEDDLE_DATABASE_URL_FILE": str(file)})
    assert settings.database_url == "postgresql+psycopg://ada:secret@host/heddle"
    with pytest.raises(ConfigError, match="HEDDLE_DATABASE_URL and HEDDLE_DATABASE_URL_FILE are both set"):
        Settings.read({"HEDDLE_DATABASE_URL_FILE": str(file), "HEDDLE_DATABASE_URL": "sqlite://"})
    with pytest.raises(ConfigError, match="HEDDLE_DATABASE_URL_FILE is '/nowhere', which cannot be read"):
        Settings.read({"HEDDLE_DATABASE_URL_FILE": "/nowhere"})
    file.write_text("\n")
    assert Settings.read({"HEDDLE_DATABASE_URL_FILE": str(file)}).database_url.startswith("sqlite:///")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEDDLE_LISTEN", "0.0.0.0:7402"),
        ("HEDDLE_LISTEN", "[::]:7402"),
        ("HEDDLE_LISTEN", "worker.example:7402"),
        ("HEDDLE_UI_BEHIND_PROXY", "true"),
        ("HEDDLE_ADVERTISE", "w:1+w:2"),
    ],
)
def test_terminals_are_for_one_machine(name: str, value: str) -> None:
    """HEDDLE_TERMINAL is refused where other machines reach a service, and accepted on sockets and loopback."""
    with pytest.raises(ConfigError, match=f"HEDDLE_TERMINAL is on, and {name} is"):
        Settings.read({"HEDDLE_TERMINAL": "true", name: value})
    for listen in ("", "127.0.0.1:7402", "[::1]:7402", "unix:/run/agent.sock"):
        assert Settings.read({"HEDDLE_TERMINAL": "true", "HEDDLE_LISTEN": listen}).terminal
    assert not Settings.read({}).terminal


def test_terminals_are_refused_with_tls(tmp_path: Path) -> None:
    """A service with certificates is one that others reach."""
    files = certificates.environment(certificates.make(tmp_path))
    with pytest.raises(ConfigError, match="HEDDLE_TERMINAL is on, and HEDDLE_TLS_CERT is set"):
        Settings.read({"HEDDLE_TERMINAL": "true", **files})
