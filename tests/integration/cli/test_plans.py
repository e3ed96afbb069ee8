"""The plan of a run on the command line: read back, changed, run again."""

import json

from tests.integration.cli.server import Server

PLAN = """\
# The shop.
name: Shop
epics:
  - key: api
    tasks:
      - {key: one, script: [{say: begun}, {wait: 600s}]}
      - {key: two, prompt: Do it}  # later
"""


async def test_a_plan_is_read_back_and_changed(server: Server) -> None:
    """The text comes back as it was; a difference is shown, asked for and applied; refusals change nothing."""
    name = await server.begin(PLAN)
    await server.until(name, "session started")
    assert await server.heddle("show", name, "--plan") == (0, PLAN, "")

    changed = (
        PLAN.replace("Do it", "|\n          Do it\n          well")
        .replace("}  # later", "")
        .replace("{key: two,", "key: two\n       ")
        + "      - {key: three, prompt: More}\n"
    )
    path = server.plan(changed)
    code, out, err = await server.heddle("apply", path, "--run", name, "--dry-run")
    assert (code, err) == (3, "")
    assert out.splitlines() == [
        "~ task api/two changed", "    prompt:", "       Do it", "      +well", "+ task api/three added",
    ]  # fmt: skip
    code, _, err = await server.heddle("apply", path, "--run", name)
    assert (code, "--yes" in err) == (2, True)
    code, out, err = await server.heddle("apply", path, "--run", name, "--yes")
    assert (code, "2 changes applied; the plan is now at revision 2" in err) == (0, True)
    code, _, err = await server.heddle("apply", path, "--run", name)
    assert (code, err) == (0, "no difference; nothing was changed\n")

    code, out, err = await server.heddle("show", name, "--plan")
    assert (code, out) == (0, PLAN)
    assert "revision 2; --current prints that one" in err
    assert await server.heddle("show", name, "--plan", "--current") == (0, changed, "")
    assert (await server.heddle("add", f"{name}/api", "Last"))[0] == 0
    code, out, _ = await server.heddle("show", name, "--plan", "--current")
    assert code == 0
    assert "prompt: Last" in out
    code, out, err = await server.heddle("apply", server.plan(out), "--run", name)
    assert (code, err) == (0, "no difference; nothing was changed\n")

    code, out, err = await server.heddle(
        "apply", server.plan(PLAN.replace("begun", "on")), "--run", name, "--yes"
    )
    assert code == 1
    assert "    ! refused: it is running" in out.splitlines()
    assert "1 change cannot be applied" in err
    assert (await server.heddle("cancel", name))[0] == 0


async def test_a_failed_run_runs_again(server: Server) -> None:
    """--failed-only starts from what was accepted and runs only what failed; --again takes no other plan."""
    text = """
name: Flaky
epics:
  - key: api
    tasks:
      - {key: good, script: [{write: {path: good.txt, text: "1"}}]}
      - {key: bad, script: [{run: "test -e good.txt && test -e fixed"}, {fail: {message: no, attempts: 1}}]}
"""
    code, name, _ = await server.heddle(
        "run", server.plan(text), "--repo", str(server.repository()), "--json"
    )
    assert code == 0
    short = json.loads(name)["name"].removeprefix("runs/")
    assert (await server.heddle("watch", short))[0] == 1
    code, again, err = await server.heddle("run", "--again", short, "--failed-only", "--json")
    assert code == 0, err
    run = json.loads(again)
    assert run["tasks"]["total"] == 1
    assert run["baseRef"] == f"heddle/{short}/merged"
    assert (await server.heddle("watch", run["name"].removeprefix("runs/")))[0] == 1
    code, _, err = await server.heddle("run", server.plan(text), "--again", short)
    assert (code, "--again takes neither FILE nor --repo" in err) == (2, True)


async def test_a_schedule_is_created_paused_and_deleted(server: Server) -> None:
    """A plan with inputs gets its values when the schedule is created; the list says when it is due."""
    plan = server.plan(
        "name: Nightly ${{ inputs.area }}\ninputs: {area: {required: true}}\n"
        "epics: [{key: a, tasks: [{key: t, script: [{say: hi}]}]}]\n"
    )
    options = ("--cron", "0 3 * * *", "--project", str(server.repository()), "--time-zone", "Europe/Berlin")
    code, _, err = await server.heddle("schedule", "create", plan, *options)
    assert (code, "inputs.area: needs a value: --input area=VALUE" in err) == (2, True)
    code, out, err = await server.heddle("schedule", "create", plan, *options, "--input", "area=api")
    assert (code, "due next at" in err) == (0, True)
    name = out.strip()
    assert name.startswith("nightly-api-")
    code, out, _ = await server.heddle("schedule", "list")
    assert (code, name in out, "Europe/Berlin" in out) == (0, True, True)
    assert await server.heddle("schedule", "pause", name) == (0, f"{name} paused\n", "")
    assert (await server.heddle("schedule", "resume", name))[1].startswith(f"{name} due next at")
    assert await server.heddle("schedule", "delete", name) == (0, f"{name} deleted\n", "")
    code, _, err = await server.heddle("schedule", "delete", name)
    assert (code, "does not exist" in err) == (2, True)
    code, _, err = await server.heddle(
        "schedule", "create", plan, "--input", "area=api", *options, "--cron", "x"
    )
    assert (code, "cron: takes five fields" in err) == (2, True)
