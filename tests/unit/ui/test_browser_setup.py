"""Which Chromium the browser tests use."""

import sys
from pathlib import Path

import pytest

from tests import browser_setup, system_packages


def test_a_named_chromium_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """HEDDLE_CHROMIUM is used, whatever else is installed."""
    monkeypatch.setenv("HEDDLE_CHROMIUM", sys.executable)
    assert browser_setup.chromium_path() == sys.executable


def test_a_wrong_name_is_said_and_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong HEDDLE_CHROMIUM is an error, because the user wants that program."""
    monkeypatch.setenv("HEDDLE_CHROMIUM", "/nowhere/chromium")
    monkeypatch.setattr(system_packages, "run", lambda _: pytest.fail("installed something"))
    assert browser_setup.main() == 1
    assert "/nowhere/chromium" in capsys.readouterr().err


def test_without_any_chromium_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Playwright's download and the package manager are tried in turn, and each failure is printed."""
    monkeypatch.delenv("HEDDLE_CHROMIUM", raising=False)
    monkeypatch.setattr(browser_setup, "chromium_path", lambda: None)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    tried: list[str] = []
    monkeypatch.setattr(system_packages, "run", lambda command: tried.append(" ".join(command)))
    assert browser_setup.main() == 1
    assert "playwright install --only-shell chromium" in tried[0]
    assert "apt-get update" in tried[1]
    assert "HEDDLE_CHROMIUM" in capsys.readouterr().err


def test_playwrights_build_without_a_window_is_preferred(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The headless build next to the full build is used, or the full build if it is missing."""
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.delenv("HEDDLE_CHROMIUM", raising=False)
    monkeypatch.setattr("shutil.which", lambda _: None)
    whole = browser_setup._full_build()
    # Each question to Playwright starts a program.
    monkeypatch.setattr(browser_setup, "_full_build", lambda: whole)
    assert browser_setup.chromium_path() is None
    whole.parent.mkdir(parents=True)
    whole.touch()
    assert browser_setup.chromium_path() == str(whole)
    number = whole.relative_to(tmp_path).parts[0].removeprefix("chromium-")
    shell = tmp_path / f"chromium_headless_shell-{number}" / "linux" / "chrome-headless-shell"
    shell.parent.mkdir(parents=True)
    shell.touch()
    assert browser_setup.chromium_path() == str(shell)
