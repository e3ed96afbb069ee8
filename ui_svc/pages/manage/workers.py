"""The page of the workers: what they can start, what is busy, and what is wrong."""

from collections.abc import Awaitable
from functools import partial

from nicegui import ui
from nicegui.element import Element

from heddle import pb
from heddle.client import HeddleClient
from heddle.identity.principals import person as person_of
from heddle.readable import span
from ui_svc.pages.manage.layout import Table, badge, confirmed, empty, facts, size_of, text, when
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
        part = ui.element("section").classes("m-section")
        _show(part, person, worker, used.get(worker.name.removeprefix("workers/"), 0))


async def _disk_by_worker(person: Person) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in await person.call(lambda client: client.list_epic_worktrees("runs/-", sizes_only=True)):
        found[each.worker] = found.get(each.worker, 0) + each.disk_bytes
    return found


def _show(part: Element, person: Person, worker: pb.Worker, disk: int) -> None:
    """Fills the part of a worker, again after each change of it."""
    part.clear()
    with part:
        with ui.element("div").classes("m-title"):
            text("h2", worker.name.removeprefix("workers/"))
            _badges(worker)
            ui.element("span").classes("m-grow")
            if person.may(pb.ROLE_OPERATOR):
                _drain_button(part, person, worker, disk)
        if not worker.connected:
            text("p", worker.reason or "It has not answered yet.")
            text("p", "The scheduler connects again by itself once its services run.", "quiet")
        if worker.full:
            text("p", worker.full)
        if worker.draining:
            text("p", _drained(worker))
        if not worker.connected:
            return
        _slots(worker)
        facts(_facts(worker, disk))
        boundary = worker.write_boundary
        if not boundary.held and boundary.detail:
            text("p", f"{boundary.detail}. {boundary.advice}".rstrip(". ") + ".", "quiet")
        _agents(worker)


def _badges(worker: pb.Worker) -> None:
    if worker.connected:
        badge("Connected", "ok", "check")
    else:
        badge("Not reachable", "bad", "cloud_off")
    if worker.full:
        badge("Takes no new work", "wait", "hard_drive")
    if worker.draining:
        badge("Draining" if worker.running_sessions else "Drained", "wait", "pause")


def _drain_button(part: Element, person: Person, worker: pb.Worker, disk: int) -> None:
    name = worker.name.removeprefix("workers/")

    async def drain() -> None:
        said = f"No new session starts on {name}; running ones continue to their ends. It lasts until you undrain it."
        if await confirmed(f"Drain {name}?", said, "Drain"):
            await change(f"{name} takes no new sessions", draining=True)

    async def undrain() -> None:
        await change(f"{name} takes work again", draining=False)

    async def change(said: str, *, draining: bool) -> None:
        def call(client: HeddleClient) -> Awaitable[pb.Worker]:
            return client.drain_worker(worker.name) if draining else client.undrain_worker(worker.name)

        if changed := await person.act(call, said):
            _show(part, person, changed, disk)

    if worker.draining:
        ui.button("Undrain", icon="play_arrow", on_click=undrain).props(
            "outline no-caps dense padding='4px 12px'"
        )
    else:
        ui.button("Drain", icon="pause", on_click=drain).props("outline no-caps dense padding='4px 12px'")


def _drained(worker: pb.Worker) -> str:
    """Returns who drained a worker, when, and what still runs there."""
    who = (
        f"Drained by {person_of(worker.drained_by)} {when(worker.drain_time)}"
        if worker.drained_by
        else "Drained"
    )
    count = worker.running_sessions
    rest = (
        f"{count} running session{'s continue' if count > 1 else ' continues'}" if count else "nothing runs"
    )
    return f"{who}: no session starts here, and {rest}."


def _facts(worker: pb.Worker, disk: int) -> list[tuple[str, str]]:
    lease = worker.lease.ToTimedelta().total_seconds()
    labels = [f"{key}={label}" for key, label in sorted(worker.labels.items())]
    space = f"{size_of(worker.disk_free_bytes)} free of {size_of(worker.disk_total_bytes)}"
    return [
        ("Disk", space if worker.disk_total_bytes else "unknown"),
        ("Worktrees", size_of(disk)),
        ("Heddle", worker.version or "an earlier version"),
        ("Without a scheduler, sessions", f"stop after {span(lease)}" if lease else "continue"),
        (
            "Agents write",
            "only their own files" if worker.write_boundary.held else "wherever the service can",
        ),
        ("Joined by", "registering itself" if worker.registered else "the scheduler's settings"),
        ("Terminals", "for admins" if worker.terminals else "off"),
        *([("Labels", ", ".join(labels))] if labels else []),
    ]


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
