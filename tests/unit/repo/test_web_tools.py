"""How the tools for the browser code are installed."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import web_tools
from tests.unit.repo.files import committed


class Npm:
    """Counts its installations, and fails with `problem` if that is set."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        self.commands: list[str] = []

    def __call__(self, command: Sequence[str], folder: Path) -> str:
        self.commands.append(" ".join(command[:2]))
        if not self.problem:
            (folder / "node_modules").mkdir(exist_ok=True)
        return self.problem


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")


@pytest.mark.usefixtures("on_path")
def test_another_lock_file_means_another_installation(tmp_path: Path) -> None:
    """The packages of one lock file are installed only once."""
    lock = tmp_path / "package-lock.json"
    npm = Npm()
    for text, count in [("a", 1), ("a", 1), ("b", 2)]:
        lock.write_text(text)
        assert web_tools.install(tmp_path, npm) == ""
        assert npm.commands == ["npm ci"] * count


@pytest.mark.usefixtures("on_path")
def test_a_failed_installation_is_tried_again(tmp_path: Path) -> None:
    """A failed installation leaves no stamp, so the next run tries again."""
    (tmp_path / "package-lock.json").write_text("a")
    assert web_tools.install(tmp_path, Npm("no network")) == "no network"
    npm = Npm()
    assert web_tools.install(tmp_path, npm) == ""
    assert npm.commands == ["npm ci"]


@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_without_node_only_ci_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ci: str, code: int
) -> None:
    """Outside CI the check only reports that it did not run."""
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("sys.argv", ["web_tools", "check"])
    monkeypatch.setenv("CI", ci)
    assert web_tools.main() == code
    assert "Node.js and npm are not on the PATH.\nSo `npm run check` did not run" in capsys.readouterr().err


def test_lock_files_name_no_registry() -> None:
    """Each package is pinned by its hash and comes from the registry that npm is set to; no address is in the file."""
    locks = committed("package-lock.json", "**/package-lock.json")
    assert locks
    for lock in locks:
        assert "://" not in lock.read_text(), lock
        for name, package in json.loads(lock.read_text())["packages"].items():
            assert "resolved" not in package, (lock, name)
            assert not name or "integrity" in package, (lock, name)
