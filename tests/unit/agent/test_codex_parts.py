from pathlib import Path

import pytest

from agent_svc.agents.codex.driver import CodexDriver
from agent_svc.agents.codex.failures import cause_of, is_refusal, plain_reason, status_of
from agent_svc.agents.codex.home import CodexHome
from agent_svc.agents.codex.patches import texts
from agent_svc.agents.codex.policy import confine
from heddle import pb

UNAUTHORIZED = "unexpected status 401 Unauthorized: bad key, url: http://h/v1/responses"


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (UNAUTHORIZED, 401),
        ("exceeded retry limit, last status: 429 Too Many Requests", 429),
        ("rate limit exceeded: Rate limit reached. Please try again in 1s.", 429),
        ("unexpected status 529 <unknown status code>: overloaded, url: …", 529),
        ("You've hit your usage limit.", None),
    ],
)
def test_status_is_found(message: str, status: int | None) -> None:
    """The HTTP status is read from codex's message."""
    assert status_of(message) == status


def test_causes_are_plain() -> None:
    """Notes about retries and the JSON around an API's message are removed."""
    assert cause_of(f"Reconnecting... 1/5 ({UNAUTHORIZED})") == UNAUTHORIZED
    assert cause_of('{"error": {"message": "bad request"}}') == "bad request"
    assert cause_of('{"error": null}') == '{"error": null}'
    assert plain_reason("boom") == "codex failed: boom"


def test_only_refusals_are_hopeless() -> None:
    """A refused login is not retried; an overloaded or unresponsive API is."""
    assert is_refusal(f"Reconnecting... 1/5 ({UNAUTHORIZED})")
    assert not is_refusal("Reconnecting... 1/5 (unexpected status 529 <unknown status code>: overloaded)")
    assert not is_refusal("Reconnecting... waiting for network (Connection failed: error sending request)")
    assert not is_refusal("")


def mode(permissions: pb.Permissions) -> str:
    return next(each for each in confine(permissions).arguments if each.startswith("sandbox_mode"))


@pytest.mark.parametrize("decision", [0, pb.PERMISSION_DECISION_ALLOW, pb.PERMISSION_DECISION_DENY])
def test_defaults_keep_to_the_worktree(decision: "pb.PermissionDecision.ValueType") -> None:
    """With any default, codex may write in the worktree and never asks."""
    confined = confine(pb.Permissions(default=decision, allow=["Bash(*)"]))
    assert 'sandbox_mode="workspace-write"' in confined.arguments
    assert 'approval_policy="never"' in confined.arguments
    assert confined.unkept == ()


@pytest.mark.parametrize("deny", ["Write", "Edit", "Write(*)", "*", "(broken"])
def test_denied_writing_is_read_only(deny: str) -> None:
    """A plan that denies all writing gets the read-only sandbox; so does a malformed pattern."""
    assert mode(pb.Permissions(deny=[deny])) == 'sandbox_mode="read-only"'


def test_denied_tools_are_switched_off() -> None:
    """A plan that denies the shell or the search disables it; unenforceable rules are named."""
    confined = confine(pb.Permissions(deny=["Bash", "WebSearch", "Bash(rm:*)", "Edit(src/**)", "mcp__x__*"]))
    assert "shell_tool" in confined.arguments
    assert 'web_search="disabled"' in confined.arguments
    assert 'sandbox_mode="workspace-write"' in confined.arguments
    assert confined.unkept == ("Bash(rm:*)", "Edit(src/**)", "mcp__x__*")


CONFIG = """
model = "gpt-5.5"
model_provider = "mine"
[model_providers.mine]
env_key = "MY_KEY"
[model_providers.other]
base_url = "http://127.0.0.1"
"""


def home(folder: Path, config: str, **environ: str) -> CodexHome:
    (folder / "config.toml").write_text(config)
    return CodexHome({"CODEX_HOME": str(folder), **environ})


def test_home_is_read(tmp_path: Path) -> None:
    """The model, the names of keys and the presence of a login are read from the user's own files."""
    mine = home(tmp_path, CONFIG)
    assert (mine.model, mine.keys) == ("gpt-5.5", ("CODEX_API_KEY", "OPENAI_API_KEY", "MY_KEY"))
    assert mine.ready
    assert not home(tmp_path, "model = 5").ready
    assert home(tmp_path, "", CODEX_API_KEY="k").ready
    (tmp_path / "auth.json").touch()
    assert home(tmp_path, "not toml at all [").ready


def test_home_without_a_file(tmp_path: Path) -> None:
    """Without CODEX_HOME, the folder is below the user's home; without files, nothing is known."""
    found = CodexHome({"HOME": str(tmp_path)})
    assert (found.path, found.model, found.ready) == (tmp_path / ".codex", "", False)


def test_driver_says_what_is_missing(tmp_path: Path) -> None:
    """A missing part is reported with the command that fixes it; the agent gets only its own credentials."""
    environ = {"PATH": str(tmp_path), "CODEX_HOME": str(tmp_path), "SECRET": "s"}
    driver = CodexDriver(environ=environ)
    assert driver.program().detail == "not found on PATH; run: npm install -g @openai/codex"
    assert not driver.program().available
    (tmp_path / "codex").write_text("#!/bin/sh\n")
    (tmp_path / "codex").chmod(0o755)
    assert driver.program().available
    assert "no login found: run: codex login" in driver.program().detail
    (tmp_path / "auth.json").touch()
    assert driver.program().detail == str(tmp_path / "codex")
    (tmp_path / "config.toml").write_text(CONFIG)
    assert {"CODEX_HOME", "CODEX_API_KEY", "MY_KEY"} <= set(driver.login_variables)
    assert "SECRET" not in driver.login_variables


def test_a_patch_is_told_by_file() -> None:
    """A new file is shown as its text, a changed file as a diff, a moved file under its old and new path."""
    patch = (
        "*** Begin Patch\n*** Add File: a\n+one\n+two\n*** Update File: b\n*** Move to: c\n@@ def f\n x\n-y\n+z\n"
        "*** Delete File: d\n*** End Patch"
    )
    changed = "@@ def f\n x\n-y\n+z"
    assert texts(patch) == {"a": "one\ntwo", "b": changed, "c": changed, "d": ""}
    assert texts("nonsense") == {}


def test_every_file_of_a_patch_has_its_change() -> None:
    """A new file is its text, a change its lines; a moved file has both paths, and a deleted one no lines."""
    patch = (
        "*** Begin Patch\n*** Add File: new.txt \n+one\n+\n+ two\n*** Update File: a.py\n*** Move to: b.py \n"
        "@@\n-x\n+y\n@@ def f\n z\n*** End of File\n*** Delete File: gone\n*** End Patch"
    )
    assert texts(patch) == {
        "new.txt": "one\n\n two",
        "a.py": "@@ \n-x\n+y\n@@ def f\n z",
        "b.py": "@@ \n-x\n+y\n@@ def f\n z",
        "gone": "",
    }
    assert texts("") == {}
    assert texts("+lost\n*** Add File: a\n+b") == {"a": "b"}
