import asyncio
import socket
from pathlib import Path

import pytest

from heddle.cli.admin import home_lock, ports
from heddle.cli.admin.machine_checks import git_version
from heddle.cli.admin.ports import Endpoints
from heddle.cli.admin.service_log import ServiceLog, level_of
from heddle.cli.console.failure import Failure
from heddle.config import Settings
from tests.support.ports import free_base


def test_environment_is_what_the_services_read() -> None:
    """The four services find each other through their settings."""
    endpoints = Endpoints(7500, Path("/home"))
    settings = Settings.read({**endpoints.environment(), "HEDDLE_HOME": "/home"})
    assert settings.scheduler == "127.0.0.1:7500"
    assert settings.workers[0].worktree == endpoints.worktree.address
    assert settings.workers[0].agent == endpoints.agent.address
    assert endpoints.board == "http://127.0.0.1:7503"


def test_each_service_has_a_port_for_its_metrics() -> None:
    """The ports of the metrics follow the first one in the documented order; port 0 stays any free one."""
    endpoints = Endpoints(7400, Path("/h"))
    order = (endpoints.scheduler, endpoints.worktree, endpoints.agent, endpoints.ui)
    found = [endpoints.metrics(each, "127.0.0.1:7410") for each in order]
    assert found == [f"127.0.0.1:{port}" for port in (7410, 7411, 7412, 7413)]
    assert endpoints.metrics(endpoints.ui, "127.0.0.1:0") == "127.0.0.1:0"
    assert endpoints.metrics(endpoints.ui, "") == ""


def test_port_in_use_is_named_with_a_way_out() -> None:
    """The message names the port, the process that uses it, and ports that are free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=rf"port {port} \(ui\) is in use by .*pid \d+.*\n.*--ports \d+"):
            ports.require_free(Endpoints(port - 3, Path("/home")))


def test_find_free_skips_what_is_taken() -> None:
    """The answer contains two ports that can both be used to listen."""
    base = ports.find_free(free_base())
    with socket.create_server(("127.0.0.1", base + 3)):
        other = ports.find_free(base)
        assert other != base
        assert ports.is_free(other)
        assert ports.is_free(other + 3)


def test_home_is_held_by_one(tmp_path: Path) -> None:
    """A second `up` on one folder is rejected and names the first; afterwards the folder is free."""
    with (
        home_lock.held(tmp_path, "127.0.0.1:7400"),
        pytest.raises(Failure, match=r"in use by a Heddle at 127.0.0.1:7400 \(pid \d+\)"),
        home_lock.held(tmp_path, "127.0.0.1:7500"),
    ):
        pass
    with home_lock.held(tmp_path, "127.0.0.1:7500"):
        pass


def test_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """An unwritable data folder is reported with instructions."""
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(Failure, match=r"cannot write to .*\n.*HEDDLE_HOME"):
        home_lock.make(path)


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-11-22T13:40:50Z [warning  ] slow service=agent", "warning"),
        ('{"level": "error", "event": "defect"}', "error"),
        ("[info     ] no time", None),
        ("ValueError: [error] in a value", None),
        ("", None),
    ],
)
def test_level_is_read_from_either_log_format(line: str, level: str | None) -> None:
    """The level is read from both formats of heddle.logs; other text has no level."""
    assert level_of(line) == level


async def test_log_takes_everything_and_tells_what_matters(tmp_path: Path) -> None:
    """The file gets all lines; the operator also sees warnings and their tracebacks."""
    told: list[str] = []
    log = ServiceLog("agent", tmp_path / "logs" / "agent.log", told.append)
    stream = asyncio.StreamReader()
    text = "2026-1 [info ] one\n2026-1 \x1b[31m[error ] two\n  File x\n2026-1 [info ] three\n"
    stream.feed_data(text.encode() + b"\xff" * 200_000)
    stream.feed_eof()
    await log.read(stream)
    log.close()
    assert told == ["agent: 2026-1 [error ] two", "agent:   File x"]
    written = (tmp_path / "logs" / "agent.log").read_text().splitlines()
    assert written[:4] == [
        "agent: 2026-1 [info ] one",
        "agent: 2026-1 [error ] two",
        "agent:   File x",
        "agent: 2026-1 [info ] three",
    ]
    assert sum(line.count("�") for line in written) == 200_000


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("git version 2.39.5", (2, 39)),
        ("git version 2.50.1 (Apple Git-155)", (2, 50)),
        ("nothing", ()),
    ],
)
def test_git_version(text: str, version: tuple[int, ...]) -> None:
    """The first two numbers of the version count; a vendor's suffix is ignored."""
    assert git_version(text) == version
