"""From a goal to a running plan, on the command line, with real services and agents that are commands."""

import json
from pathlib import Path

from heddle.plan import file
from tests.integration.cli.server import Server
from tests.support.repositories import git, make_repository

PLAN = """\
# Drafted.
name: Greeting
defaults: {agent: "command:echo hello > hello.txt"}
epics:
  - key: api
    touches: ["hello.txt"]
    tasks:
      - {key: hello, title: Say hello, estimate: 1m, source: "spec.md#Hello", prompt: Say it., checks: [test -s hello.txt]}
"""

# Answers with a bad plan, and with a good one once it was told. It also writes files, which must not be kept.
AGENT = 'command:echo x > new.txt; echo y >> README.md; if grep -q "cannot be used"; then cat good.txt; else cat bad.yaml; fi'


def repository(server: Server, name: str) -> Path:
    files = {
        "README.md": "# Sample\n",
        "good.txt": f"Because it is short.\n\n```yaml\n{PLAN}```\n",
        "bad.yaml": PLAN.replace("prompt", "promt"),
        ".heddle/specs/spec.md": "# Hello\nSay hello.\n",
    }
    return make_repository(server.folder / name, files)


async def test_from_a_goal_to_a_started_plan(server: Server) -> None:
    """Errors go back to the agent; the valid plan is printed or written, can be read back, and starts."""
    project = repository(server, "goal")
    out = server.folder / "drafted.yaml"
    asked = ("draft", "Say hello", "--repo", str(project), "--agent", AGENT)
    code, printed, err = await server.heddle(*asked, "--out", str(out), "--start")
    assert (code, printed) == (0, ""), err
    assert out.read_text() == PLAN
    assert "line 8: epics[0].tasks[0].promt: unknown key, did you mean prompt?" in err
    assert "Because it is short." in err
    assert "Critical path: api (1m 00s)" in err
    assert "from spec.md#Hello" in err
    assert "Estimated cost:" in err
    started = err.splitlines()[-1].split()[0]
    code, _, err = await server.heddle("watch", started)
    assert code == 0, err
    _, shown, _ = await server.heddle("show", started)
    assert f"{started}/api/hello is from spec.md#Hello" in shown
    assert git(project, "show", f"heddle/{started}/merged:hello.txt") == "hello"

    listed = json.loads((await server.heddle("ls", "--json"))[1].splitlines()[1])
    draft = listed["name"].removeprefix("runs/")
    assert (listed["title"], listed["draft"]) == ("Draft: Say hello", True)
    assert await server.heddle("show", draft, "--plan") == (0, PLAN, "")
    assert git(project, "status", "--porcelain") == ""
    tips = git(project, "for-each-ref", "--format=%(objectname)", f"refs/heads/heddle/{draft}").split()
    assert set(tips) <= {git(project, "rev-parse", "main")}, "a draft commits nothing"

    code, printed, err = await server.heddle(*asked)
    assert (code, printed) == (0, PLAN), err
    later = f"nothing was started; `heddle run FILE --repo {project}` starts the plan"
    assert err.splitlines()[-1] == later
    code, _, err = await server.heddle(*asked, "--out", str(out))
    assert (code, "exists; name another file" in err) == (2, True)
    code, _, err = await server.heddle("run", "--again", draft)
    assert (code, "is a draft of a plan" in err) == (1, True)


async def test_a_draft_that_fails_leaves_its_text(server: Server) -> None:
    """Without a goal, the specifications of the repository are the source; the last text is written, with its errors."""
    project = repository(server, "failing")
    out = server.folder / "failed.yaml"
    agent = "command:grep -q 'Say hello' && cat bad.yaml"
    asked = ("draft", "--repo", str(project), "--agent", agent, "--rounds", "1")
    code, printed, err = await server.heddle(*asked, "--out", str(out))
    assert (code, printed) == (1, "")
    assert "the last text is in" in err
    assert "Errors:\n  line 8: epics[0].tasks[0].prompt: is missing" in err
    assert "the draft was not successful: it is failed" in err
    assert file.load(out).problems
    code, printed, _ = await server.heddle(*asked, "--json")
    assert (code, json.loads(printed.splitlines()[0])["handovers"]) == (1, 2)


async def test_a_draft_that_cannot_start(server: Server) -> None:
    """Missing goals, sources and repositories, and texts that are too long, are named before anything starts."""
    project = str(repository(server, "refused"))
    (empty := server.folder / "empty").mkdir()
    (big := server.folder / "big.md").write_text("x" * 128_001)
    (binary := server.folder / "binary.md").write_bytes(b"\xff")
    for arguments, said in (
        (("--repo", str(empty)), ".heddle/specs in the repository"),
        (("Goal", "--repo", str(empty), "--agent", "command:true"), "is not in a git repository"),
        (("Goal", "--repo", project, "--from", str(empty)), "has no Markdown or text file"),
        (("Goal", "--repo", project, "--from", str(big)), "larger than 128,000 bytes"),
        (("Goal", "--repo", project, "--from", str(binary)), "is not UTF-8 text"),
        (("Goal", "--repo", project, "--from", "missing.md"), "missing.md cannot be read"),
        (("Goal", "--repo", project, "--agent", "codx"), "did you mean codex?"),
    ):
        code, printed, err = await server.heddle("draft", *arguments)
        assert (code, printed) == (2, ""), err
        assert said in err
