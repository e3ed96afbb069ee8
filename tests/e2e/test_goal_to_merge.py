"""From a goal in plain words to a running, then changed, then finished plan, with the real Claude Code.

Only its model is scripted. The browser alone can do it, and the command line alone.
"""

import asyncio
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.servers import Servers
from tests.e2e.test_accessibility import grave_violations
from tests.support import claude
from tests.support.commands import HEDDLE
from tests.support.models.anthropic import AnthropicModel, anthropic_model
from tests.support.models.turns import Answer, Call, Turn
from tests.support.programs import need_package
from tests.support.repositories import git, make_repository

GOAL = "Greet people in two languages"

PLAN = """\
name: Greetings
defaults:
  agent: claude
  permissions: {allow: ["Bash(cp:*)"]}
epics:
  - key: english
    touches: ["hello.txt"]
    tasks:
      - {key: hello, title: Say hello, estimate: 1m, checks: [test -s hello.txt], prompt: Write the English greeting.}
  - key: german
    title: German
    touches: ["hallo.txt"]
    on_failure: stop_epic
    tasks:
      - {key: hallo, title: Say hallo, estimate: 1m, checks: [test -s hallo.txt], prompt: Write the German greeting.}
      - {key: bye, title: Say bye, estimate: 1m, checks: [test -s bye.txt], prompt: Write the German farewell.}
"""
CHANGED = PLAN.replace(
    "      - {key: bye",
    "      - {key: again, title: Say hallo in hallo.txt, estimate: 1m, checks: [test -s hallo.txt],"
    " prompt: Write the word Hallo into hallo.txt.}\n      - {key: bye",
)


def writing(file: str) -> list[Answer]:
    return [Turn(calls=[Call("Bash", {"command": f"cp README.md {file}"})]), Turn("Done.")]


def play(model: AnthropicModel) -> None:
    """Lets the model draft a bad plan and a good one, fail at one task, and plan that again.

    Later plays are looked at first: the prompts of drafts also contain what tasks are asked for.
    """
    model.play(writing("hello.txt"), "Write the English greeting")
    model.play(writing("salut.txt"), "Write the German greeting")
    model.play(writing("bye.txt"), "Write the German farewell")
    model.play(writing("hallo.txt"), "Write the word Hallo into")
    drafted = [
        Turn("I look around.", calls=[Call("Bash", {"command": "ls"})]),
        Turn(f"First try.\n\n```yaml\n{PLAN.replace('prompt', 'promt')}```"),
        Turn(f"Two languages are **two epics**.\n\n```yaml\n{PLAN}```"),
    ]
    model.play(drafted, GOAL)
    late = CHANGED.replace("Write the English greeting.", "Write it well.")
    revised = [
        Turn(f"Better.\n\n```yaml\n{late}```"),
        Turn(f"The prompt **named no file**.\n\n```yaml\n{CHANGED}```"),
    ]
    model.play(revised, "Plan the rest of the epic")


@pytest.fixture
def model() -> Iterator[AnthropicModel]:
    """A model that is served by another thread: the browser's driver needs this one."""
    need_package("claude_agent_sdk")
    ready, ended, made = threading.Event(), asyncio.Event(), list[AnthropicModel]()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with anthropic_model() as model:
            play(model)
            made.append(model)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    with ExitStack() as stack:
        stack.callback(loop.close)
        stack.callback(thread.join)
        stack.callback(loop.call_soon_threadsafe, ended.set)
        assert ready.wait(30)
        yield made[0]


@pytest.fixture
def own_servers(tmp_path: Path, model: AnthropicModel) -> Iterator[Servers]:
    environment = claude.environment(tmp_path, model.url) | {"HEDDLE_AGENT_ENV": "CLAUDE_CODE_MAX_RETRIES"}
    servers = Servers(tmp_path / "home", environment)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "greetings", {"README.md": "# Greetings\n"})


def check_result(project: Path, run: str, model: AnthropicModel) -> None:
    files = git(project, "ls-tree", "-r", "--name-only", f"heddle/{run}/merged").splitlines()
    assert files == ["README.md", "bye.txt", "hallo.txt", "hello.txt"]
    assert git(project, "status", "--porcelain") == ""
    told = [str(request) for request in model.requests]
    assert any("unknown key, did you mean prompt?" in each for each in told)
    assert any("task english/hello cannot be changed: it is accepted" in each for each in told)
    assert any("task `german/hallo` has failed" in each for each in told)


@pytest.mark.timeout(300)
def test_in_the_browser_alone(page: Page, own_servers: Servers, project: Path, model: AnthropicModel) -> None:
    """The form drafts and starts the plan; the page of the failed run proposes a change, which finishes the run."""
    page.context.add_cookies([own_servers.cookie])
    page.goto(f"{own_servers.url}/new")
    page.get_by_label("Repository").fill(str(project))
    page.get_by_label("Describe what you want").fill(GOAL)
    page.get_by_label("Agent", exact=True).select_option("claude")
    page.get_by_role("button", name="Draft a plan").click()
    expect(page.get_by_text("The plan is drafted.")).to_be_visible(timeout=90_000)
    expect(page.get_by_label("The agent's reasons").locator("strong")).to_have_text("two epics")
    expect(page.get_by_text("2 epics, 3 tasks, no errors")).to_be_visible()
    page.get_by_role("button", name="Start run").click()
    page.wait_for_url(re.compile("/runs/greetings-"))
    run = page.url.rpartition("/runs/")[2]
    expect(page.locator(".run-line .status")).to_have_text("Failed", timeout=90_000)

    page.locator(".outcome").get_by_role("button", name="Plan the rest again").click()
    page.wait_for_url(re.compile(r"/plan\?draft=plan-the-rest-of-epic-german"))
    proposal = page.get_by_label("Change by an agent")
    expect(proposal.get_by_text("The plan is drafted.")).to_be_visible(timeout=90_000)
    expect(proposal.get_by_label("The agent's reasons").locator("strong")).to_have_text("named no file")
    expect(page.get_by_label("Plan", exact=True)).to_contain_text("Write the word Hallo")
    expect(page.get_by_label("Difference")).to_contain_text("Task german/again")
    expect(page.get_by_text("Failed tasks of epic german are skipped first")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Difference")).to_contain_text("Task german/again")
    assert grave_violations(page) == []
    page.get_by_role("button", name="Apply the changes").click()
    expect(page.get_by_text("Revision 2")).to_be_visible()
    assert "draft=" not in page.url
    expect(page.locator(".run-line .status")).to_have_text("Succeeded", timeout=90_000)
    check_result(project, run, model)


@pytest.mark.timeout(300)
def test_on_the_command_line_alone(
    own_servers: Servers, project: Path, model: AnthropicModel, tmp_path: Path
) -> None:
    """`draft --start`, `watch`, `plan rest --yes` and `watch` do the same."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEDDLE_")}
    environment |= {"HEDDLE_HOME": str(tmp_path / "home"), "HEDDLE_SCHEDULER": own_servers.scheduler}

    def heddle(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [HEDDLE, *arguments],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        return done.returncode, done.stdout + done.stderr

    code, said = heddle("draft", GOAL, "--repo", str(project), "--agent", "claude", "--start")
    assert code == 0, said
    assert "Two languages are **two epics**." in said
    run = said.splitlines()[-1].split()[0]
    assert heddle("watch", run)[0] == 1
    code, said = heddle("plan", "rest", f"{run}/german", "--agent", "claude", "--yes")
    assert code == 0, said
    assert "+ task german/again added" in said
    assert "1 change applied; the plan is now at revision 2" in said
    code, said = heddle("watch", run)
    assert code == 0, said
    check_result(project, run, model)
