import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent_svc.agents.acp.driver import AcpCommandDriver, AcpDriver
from agent_svc.agents.acp.kinds import KINDS, PREFIX
from agent_svc.agents.acp.presets import PRESETS, find
from agent_svc.agents.base.npm_package import npm_version
from heddle import pb

KIND, CLAUDE = KINDS[0], PRESETS[0]
COMMAND = AcpCommandDriver(KINDS[-1])
DRIVERS: list[AcpDriver | AcpCommandDriver] = [*map(AcpDriver, KINDS[:-1]), COMMAND]


@pytest.fixture(name="program")
def _program(tmp_path: Path) -> Path:
    """Returns an adapter as npm installs it: a link to a script in a package."""
    package = tmp_path / "node_modules" / "@agentclientprotocol" / "claude-agent-acp"
    (package / "dist").mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"version": "1.2.3"}))
    script = package / "dist" / "index.js"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    link = tmp_path / "bin" / "claude-agent-acp"
    link.parent.mkdir()
    link.symlink_to(script)
    return link


def told(program: Path | None = None, **environ: str) -> pb.AgentProgram:
    path = str(program.parent) if program else "/nowhere"
    return AcpDriver(KIND, {"PATH": path, "HOME": "/nowhere", **environ}, lambda: True).program()


def test_presets_are_found_by_name() -> None:
    """Each preset has its own kind and its own driver, which accepts no other agent."""
    assert [PREFIX + preset.name for preset in PRESETS] == [kind.name for kind in KINDS[:-1]]
    assert [preset.name for preset in PRESETS] == [
        "claude-agent-acp",
        "gemini",
        "opencode",
        "codex-acp",
        "goose",
    ]
    driver = AcpDriver(KIND)
    assert driver.accepts("acp:claude-agent-acp")
    assert not any(driver.accepts(agent) for agent in ("acp:gemini", "claude-agent-acp", "acp:", "claude"))


def test_a_refused_login_is_not_tried_for_minutes() -> None:
    """Claude's adapter retries a call a few times, unless the service's variable says otherwise."""
    assert CLAUDE.defaults == {"CLAUDE_CODE_MAX_RETRIES": "5"}
    assert not CLAUDE.defaults.keys() & CLAUDE.environment.keys()


@pytest.mark.parametrize(
    ("agent", "command"),
    [
        ("acp:gemini", ("gemini", "--acp")),
        ("acp:my-agent --flag 'two words'", ("my-agent", "--flag", "two words")),
        ("acp:/opt/my agent", ("/opt/my", "agent")),
    ],
)
def test_other_names_are_command_lines(agent: str, command: tuple[str, ...]) -> None:
    """A name that is not a preset is a command line."""
    assert find(agent).command == command
    assert sum(driver.accepts(agent) for driver in DRIVERS) >= 1


@pytest.mark.parametrize("agent", ["acp:", "acp:   ", "acp:'open", "claude", "command:acp:x"])
def test_what_names_no_agent_is_refused(agent: str) -> None:
    """An empty or malformed command line and an agent of another kind are refused."""
    assert not any(driver.accepts(agent) for driver in DRIVERS)


def test_what_is_missing_is_said(program: Path) -> None:
    """A missing program is reported with its install command, a missing login with instructions."""
    assert not told().available
    assert told().detail == "not found on PATH; run: npm install -g @agentclientprotocol/claude-agent-acp"
    found = told(program)
    assert (found.available, found.version) == (True, "1.2.3")
    assert found.detail == f"{program}; no login found: {CLAUDE.login}"
    assert told(program, ANTHROPIC_API_KEY="x").detail == str(program)
    assert "pip install" in AcpDriver(KIND, {}, lambda: False).program().detail


def test_a_login_is_found_in_the_home(program: Path, tmp_path: Path) -> None:
    """The file that a login creates counts as a login."""
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / ".credentials.json").write_text("{}")
    assert told(program, HOME=str(tmp_path)).detail == str(program)


def test_versions_come_from_npm_alone(tmp_path: Path) -> None:
    """A version is read only from an npm package, not from a package file in a folder above the program."""
    (tmp_path / "package.json").write_text(json.dumps({"version": "9"}))
    assert npm_version(tmp_path / "goose") == ""


def test_only_a_preset_gets_credentials() -> None:
    """The agent of a preset gets the variables that it needs; a command line gets none."""
    assert COMMAND.login_variables == ()
    assert "ANTHROPIC_API_KEY" in AcpDriver(KIND).login_variables
    assert "OPENAI_API_KEY" not in AcpDriver(KIND).login_variables


def test_the_host_needs_no_library_of_another_agent() -> None:
    """The host of ACP agents starts where only the extra `acp` is installed."""
    program = "import sys; sys.modules['claude_agent_sdk'] = None; import agent_svc.agents.acp.__main__"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_only_an_agent_with_its_own_sandbox_can_make_namespaces() -> None:
    """The filter of system calls allows user namespaces to codex alone, whose sandbox needs them."""
    request = pb.StartSessionRequest(agent="acp:x")
    able = [driver.kind.name for driver in DRIVERS if driver.launch(request, "").user_namespaces]
    assert able == ["acp:codex-acp"]
