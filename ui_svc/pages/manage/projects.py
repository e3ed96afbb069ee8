"""The page of the projects: their runs, cost, budget and settings."""

from collections import defaultdict
from typing import Final

from nicegui import ui

from heddle import pb
from ui_svc.pages.manage.layout import badge, empty, facts, link, money, text, when
from ui_svc.pages.manage.person import Person

# How many of the newest runs are read, and shown for each project.
_READ: Final = 500
_SHOWN: Final = 5

_TONES: Final = {
    pb.RUN_STATE_SUCCEEDED: "ok",
    pb.RUN_STATE_FAILED: "bad",
    pb.RUN_STATE_RUNNING: "run",
    pb.RUN_STATE_PAUSED: "wait",
}
_ENDED: Final = frozenset({pb.RUN_STATE_SUCCEEDED, pb.RUN_STATE_FAILED, pb.RUN_STATE_CANCELLED})


async def build(person: Person) -> None:
    """Adds a part for each project, that of the newest run first."""
    page = await person.call(lambda client: client.list_runs(page_size=_READ))
    costs = {each.name: each for each in (await person.call(lambda client: client.list_costs(""))).costs}
    runs: defaultdict[str, list[pb.Run]] = defaultdict(list)
    for run in page.runs:
        runs[run.project].append(run)
    if not runs:
        empty(
            "folder_open", "No projects yet", "A project is a repository with a run. Start one under New run."
        )
        return
    for path, of in runs.items():
        _project(path, of, costs.get(path, pb.Cost()), whole=not page.next_page_token)


def _project(path: str, runs: list[pb.Run], cost: pb.Cost, *, whole: bool) -> None:
    active = sum(run.state not in _ENDED for run in runs)
    with ui.element("section").classes("m-section"):
        with ui.element("div").classes("m-title"):
            text("h2", path.rstrip("/").rpartition("/")[2].removesuffix(".git") or path)
            if active:
                badge(f"{active} active", "run", "play_arrow")
        text("p", path, "mono quiet")
        budget = money(cost.budget_usd_micros) if cost.HasField("budget_usd_micros") else "No limit"
        lower = "≥ " if cost.usage.cost_incomplete else ""
        facts(
            [
                ("Runs", f"{len(runs)}{'' if whole else '+'}"),
                ("Last run", when(runs[0].create_time)),
                ("Cost", f"{lower}{money(cost.usage.cost_usd_micros)}"),
                ("Budget of all runs", budget),
            ]
        )
        _share(cost)
        with ui.element("div").classes("m-runs"):
            for run in runs[:_SHOWN]:
                _run(run)
        text(
            "p",
            "HEDDLE_PROJECT_BUDGET_USD of the scheduler limits what all runs of a project cost. The file .heddle.yaml in the"
            " repository says how its worktrees are set up and which checks are usual.",
            "quiet",
        )


def _share(cost: pb.Cost) -> None:
    if not cost.budget_usd_micros:
        return
    share = min(1.0, cost.usage.cost_usd_micros / cost.budget_usd_micros)
    tone = "bad" if share >= 1 else "wait" if share > 0.8 else "run"
    with ui.element("div").classes(f"m-meter tone-{tone}").props('aria-hidden="true"'):
        ui.element("i").style(f"width: {share:.0%}")


def _run(run: pb.Run) -> None:
    tasks = "1 task" if run.tasks.total == 1 else f"{run.tasks.total} tasks"
    with ui.element("div").classes("m-title"):
        link(f"/{run.name}", run.title, "m-inline")
        badge(
            pb.RunState.Name(run.state).removeprefix("RUN_STATE_").capitalize(),
            _TONES.get(run.state, "quiet"),
        )
        text("span", f"{run.tasks.accepted} of {tasks}, {when(run.create_time)}", "quiet num")
