from collections.abc import Sequence
from pathlib import Path

from tests.agents_setup import Part, Run, get, run


class Installer:
    """Counts the requested installations and gives a preset answer."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        self.calls = 0

    def install(self, _: Run) -> str:
        self.calls += 1
        return self.problem


def no_command(_command: Sequence[str], _folder: Path) -> str:
    raise AssertionError("nothing is to be run")


def test_installs_once(tmp_path: Path) -> None:
    """Unchanged pins are not installed again; changed pins are."""
    pins = tmp_path / "pins.txt"
    pins.write_text("a==1")
    installer = Installer()
    part = Part("pip", "Agents", pins, installer.install)
    assert get(part, tmp_path, no_command) == "Got Agents (by pip)"
    assert get(part, tmp_path, no_command) == "The agent tests use Agents (by pip)"
    assert installer.calls == 1
    pins.write_text("a==2")
    get(part, tmp_path, no_command)
    assert installer.calls == 2


def test_says_what_it_could_not_get(tmp_path: Path) -> None:
    """A failure is reported with its reason, and the next run tries again."""
    pins = tmp_path / "pins.txt"
    pins.write_text("a==1")
    installer = Installer("no network")
    part = Part("npm", "Agents", pins, installer.install)
    assert get(part, tmp_path, no_command) == "Could not get Agents: no network. Their tests are skipped."
    installer.problem = ""
    assert get(part, tmp_path, no_command) == "Got Agents (by npm)"


def test_a_failed_command_gives_its_last_words(tmp_path: Path) -> None:
    """The reason of a failure is the last line that the command printed."""
    assert run(["sh", "-c", "echo first >&2; echo the reason >&2; exit 3"], tmp_path) == "the reason"
    assert run(["sh", "-c", "exit 3"], tmp_path) == "exit code 3"
    assert run(["true"], tmp_path) == ""
    assert "no-such-program" in run(["no-such-program"], tmp_path)
