import os
import subprocess
from pathlib import Path

import pytest

from agent_svc.processes.environment import UNATTENDED, agent_environment, steering
from tests.support.repositories import make_repository

OURS = {"PATH": "/bin", "LC_ALL": "C", "HEDDLE_DATABASE_URL": "secret", "AWS_KEY": "secret", "EXTRA": "x"}


def test_only_the_allowlist_passes() -> None:
    """An agent gets only the variables of the service that are allowed by name."""
    assert agent_environment(OURS, (), {}, "p") == {
        **UNATTENDED,
        "PATH": "/bin",
        "LC_ALL": "C",
        "HEDDLE_PROMPT": "p",
    }


def test_operator_may_allow_more() -> None:
    """Names in the settings are passed on as well; absent variables stay absent."""
    environment = agent_environment(OURS, ("EXTRA", "ABSENT"), {}, "p")
    assert environment["EXTRA"] == "x"
    assert "ABSENT" not in environment


def test_task_wins() -> None:
    """A task's variables replace those of the service."""
    assert agent_environment(OURS, (), {"PATH": "/task"}, "p")["PATH"] == "/task"


def test_a_repository_cannot_redirect_an_agent() -> None:
    """An agent gets no variable of its repository that names its login, its programs, or where requests go."""
    logins = ("ANTHROPIC_API_KEY", "CLAUDE_CONFIG_DIR", "NODE_EXTRA_CA_CERTS")
    harmless = ("DATABASE_URL", "NODE_ENV", "TZ", "PYTHONPATH", "OPENAI_API_KEY", "API_BASE_URL", "NO_COLOR")
    hostile = (
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_CUSTOM_HEADERS",
        "BASH_ENV",
        "CLAUDE_CONFIG_DIR",
        "GIT_SSH_COMMAND",
        "HOME",
        "HTTPS_PROXY",
        "LD_PRELOAD",
        "NODE_OPTIONS",
        "PATH",
        "https_proxy",
    )
    assert steering((*harmless, *hostile), logins) == sorted(hostile)


def test_prompt_that_no_environment_can_hold() -> None:
    """A prompt that is too long or contains a zero byte is left out, and the agent still starts."""
    assert "HEDDLE_PROMPT" not in agent_environment(OURS, (), {}, "é" * 70_000)
    assert "HEDDLE_PROMPT" not in agent_environment(OURS, (), {}, "a\0b")


def test_the_operator_may_give_an_editor() -> None:
    """Variables of the settings or a task replace those that keep programs from asking questions."""
    environment = agent_environment(
        {"PAGER": "less", "GIT_EDITOR": "true"}, ("GIT_EDITOR",), {"EDITOR": "ed"}, None
    )
    assert (environment["GIT_EDITOR"], environment["EDITOR"], environment["PAGER"]) == ("true", "ed", "cat")


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("git commit --allow-empty", 1, "no editor is available"),
        ("git rebase -i --root", 1, "no editor is available"),
        ("git log --oneline", 0, ""),
        ("git -c core.pager='sleep 60' log", 0, ""),
        ("git merge --no-ff side", 0, ""),
        ("git credential fill <<< url=https://127.0.0.1:9/x", 128, "terminal prompts disabled"),
        ("read answer </dev/tty", 1, "/dev/tty"),
    ],
)
def test_nothing_waits_for_a_person(tmp_path: Path, command: str, code: int, said: str) -> None:
    """Editors, pagers, password prompts and terminal reads end immediately with an explanation."""
    repository = make_repository(tmp_path / "repository", {"a.txt": "a\n"})
    for arguments in (
        ["checkout", "-qb", "side"],
        ["commit", "-qm", "x", "--allow-empty"],
        ["checkout", "-q", "-"],
    ):
        subprocess.run(
            ["git", "-c", "user.name=T", "-c", "user.email=t@example.com", *arguments],
            cwd=repository,
            check=True,
        )
    identity = {f"GIT_{role}_{what}": "t" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = agent_environment(os.environ, (), {"HOME": str(tmp_path), **identity}, None)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=repository,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        start_new_session=True,
        check=False,
    )
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
