"""The page of the workers: what they can start, what is busy, and what is wrong."""

from functools import partial

from nicegui import ui

from heddle import pb
from heddle.readable import span
from ui_svc.pages.manage.layout import Table, badge, empty, facts, size_of, text
from ui_svc.pages.manage.person import Person


async def build(person: Person) -> None:
    """Adds a part for each worker."""
    workers = await person.call(lambda client: client.list_workers())
    if not workers:
        empty(
            "dns", "No workers", "Start one that registers itself, or set HEDDLE_WORKERS for the scheduler."
        )
        return
    used = await _disk_by_worker(person)
    for worker in workers:
        _worker(worker, used.get(worker.name.removeprefix("workers/"), 0))


async def _disk_by_worker(person: Person) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in await person.call(lambda client: client.list_epic_worktrees("runs/-", sizes_only=True)):
        found[each.worker] = found.get(each.worker, 0) + each.disk_bytes
    return found


def _worker(worker: pb.Worker, disk: int) -> None:
    with ui.element("section").classes("m-section"):
        with ui.element("div").classes("m-title"):
            text("h2", worker.name.removeprefix("workers/"))
            if worker.connected:
                badge("Connected", "ok", "check")
            else:
                badge("Not reachable", "bad", "cloud_off")
            if worker.full:
                badge("Takes no new work", "wait", "hard_drive")
            if worker.draining:
                badge("Drained", "wait", "pause")
        if not worker.connected:
            text("p", worker.reason or "It has not answered yet.")
            text("p", "The scheduler connects again by itself once its services run.", "quiet")
            return
        if worker.full:
            text("p", worker.full)
        if worker.draining:
            name = worker.name.removeprefix("workers/")
            text("p", f"No session starts here until `heddle workers undrain {name}`.")
        _slots(worker)
        boundary = worker.write_boundary
        labels = [f"{key}={label}" for key, label in sorted(worker.labels.items())]
        lease = worker.lease.ToTimedelta().total_seconds()
        facts(
            [
                ("Worktrees", size_of(disk)),
                ("Without a scheduler, sessions", f"stop after {span(lease)}" if lease else "continue"),
                ("Agents write", "only their own files" if boundary.held else "wherever the service can"),
                ("Joined by", "registering itself" if worker.registered else "the scheduler's settings"),
                *([("Labels", ", ".join(labels))] if labels else []),
            ]
        )
        if not boundary.held and boundary.detail:
            text("p", f"{boundary.detail}. {boundary.advice}".rstrip(". ") + ".", "quiet")
        _agents(worker)


def _slots(worker: pb.Worker) -> None:
    share = min(1.0, worker.running_sessions / worker.slots) if worker.slots else 0.0
    text("p", f"{worker.running_sessions} of {worker.slots} slots busy", "num")
    with ui.element("div").classes("m-meter").props('aria-hidden="true"'):
        ui.element("i").style(f"width: {share:.0%}")


def _agents(worker: pb.Worker) -> None:
    table = Table(f"Agents of {worker.name}", ("Agent", "State", "Version", "Details"))
    for agent in worker.agents:
        table.row(agent.name, partial(_state, agent), agent.version, agent.detail)


def _state(agent: pb.AgentProgram) -> None:
    if agent.available and agent.needs_login:
        badge("Log in first", "wait", "key")
    elif agent.available:
        badge("Ready", "ok", "check")
    else:
        badge("Missing", "quiet", "block")
