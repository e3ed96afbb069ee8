"""Agents that change plans, on the command line, with real services and agents that are commands."""

import json

from tests.integration.cli.server import Server
from tests.support.repositories import git, make_repository

PLAN = """\
# The shop.
name: Shop
defaults: {agent: "command:echo work > \\"$HEDDLE_TASK.txt\\"", checks: [test ! -e two.txt]}
epics:
  - key: api
    touches: ["*.txt"]
    on_failure: stop_epic
    tasks:
      - {key: one, estimate: 1m, prompt: Do one}
      - {key: two, estimate: 1m, prompt: Do two}
      - {key: three, estimate: 1m, prompt: Do three}
"""
AGAIN = PLAN.replace(
    "  - {key: three", "  - {key: again, estimate: 1m, prompt: Do two otherwise}\n      - {key: three"
)
# It changes what is accepted.
LATE = AGAIN.replace("Do one", "Do one well")
SPLIT = PLAN.replace(
    "      - {key: three", '  - key: more\n    touches: ["more/**"]\n    tasks:\n      - {key: three'
)

# Answers with a plan that changes what has started, and with a good one once it was told.
REST = "command:if grep -q 'cannot be used'; then cat good.txt; else cat late.txt; fi"


def answer(plan: str) -> str:
    return f"Two was wrong.\n\n```yaml\n{plan}```\n"


async def test_the_rest_of_a_run_is_planned_again(server: Server) -> None:
    """The difference is shown and applied when asked for, at once or later; the new plan finishes the run."""
    files = {
        "README.md": "# Shop\n",
        "good.txt": answer(AGAIN),
        "late.txt": answer(LATE),
        "no.txt": "Fix the check.\n",
    }
    project = make_repository(server.folder / "rest", files)
    code, out, err = await server.heddle("run", server.plan(PLAN), "--repo", str(project), "--json")
    assert code == 0, err
    name = json.loads(out)["name"].removeprefix("runs/")
    assert (await server.heddle("watch", name))[0] == 1

    code, out, err = await server.heddle("plan", "rest", f"{name}/api", "--agent", "command:cat no.txt")
    assert (code, out) == (1, "")
    assert "the agent proposes no change: Fix the check." in err
    refused = err.splitlines()[0].partition(" in ")[2].partition(";")[0]
    code, _, err = await server.heddle("apply", "--draft", refused)
    assert (code, "has no valid plan" in err) == (1, True)

    code, out, err = await server.heddle("plan", "rest", f"{name}/api", "Do it otherwise", "--agent", REST)
    assert code == 0, err
    assert "task api/one cannot be changed: it is accepted" in err
    assert "Two was wrong." in err
    assert out.splitlines() == [
        "+ task api/again added",
        f"failed tasks of {name}/epics/api are skipped first",
    ]
    draft = err.splitlines()[0].partition(" in ")[2].partition(";")[0]
    assert f"nothing was changed; `heddle apply --draft {draft}` applies it" in err
    assert git(project, "status", "--porcelain") == ""
    assert (await server.heddle("apply", "--draft", draft, "--dry-run"))[0] == 3
    code, out, err = await server.heddle("apply", "--draft", draft, "--yes")
    assert (code, "1 change applied; the plan is now at revision 2" in err) == (0, True)
    assert (await server.heddle("watch", name))[0] == 0
    assert git(project, "show", f"heddle/{name}/merged:again.txt") == "work"
    assert git(project, "show", f"heddle/{name}/merged:three.txt") == "work"
    code, out, _ = await server.heddle("show", name, "--plan", "--current")
    assert (code, out) == (0, AGAIN), "the text of the agent's plan is kept"

    code, _, err = await server.heddle("apply", "--draft", draft, "--yes")
    assert (code, "is at revision 2, not 1" in err) == (1, True)
    code, _, err = await server.heddle("plan", "rest", name, "--agent", REST)
    assert (code, "nothing is left to plan again" in err) == (1, True)
    for arguments, said in (
        (("apply",), "name the plan file and --run"),
        (("apply", "--draft", draft, "--run", name), "not combined"),
        (("plan", "split", f"{name}/api", "--repo", "."), "are for --file"),
        (("plan", "split", "api", "--file", server.plan(PLAN)), "--file needs --repo"),
        (
            ("plan", "split", "none", "--file", server.plan(PLAN), "--repo", str(project), "--agent", REST),
            "no epic 'none'",
        ),
        (("plan", "rest", f"{name}/api/one"), "is not a valid epic"),
    ):
        code, _, err = await server.heddle(*arguments)
        assert (code, said in err) == (2, True), err


async def test_an_epic_of_a_plan_file_is_split(server: Server) -> None:
    """The changed plan is written, and its difference and schedule are shown."""
    project = make_repository(server.folder / "split", {"split.txt": answer(SPLIT)})
    out = server.folder / "split.yaml"
    asked = ("plan", "split", "api", "--file", server.plan(PLAN), "--repo", str(project))
    code, printed, err = await server.heddle(*asked, "--agent", "command:cat split.txt", "--out", str(out))
    assert (code, printed) == (0, ""), err
    assert out.read_text() == SPLIT
    assert "Shop: 2 epics, 3 tasks, no errors" in err
    assert {"- task api/three removed", "+ epic more added"} <= set(err.splitlines())
