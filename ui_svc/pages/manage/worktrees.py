"""The page of the worktrees: their size and age, and how to restore or remove one."""

from functools import partial
from typing import Final

from nicegui import ui

from heddle import pb
from heddle.client import HeddleClient
from ui_svc.pages.manage.layout import Cell, Table, badge, confirmed, empty, facts, link, size_of, text, when
from ui_svc.pages.manage.person import Person

# Rows that are shown at first, and with each "Show more".
_ROWS: Final = 100

_PRESENT: Final = pb.EPIC_WORKTREE_STATE_PRESENT


async def build(person: Person) -> None:
    """Adds the list of all worktrees, the largest first."""
    found = await person.call(lambda client: client.list_epic_worktrees("runs/-", sizes_only=True))
    found.sort(key=lambda each: (each.state != _PRESENT, -each.disk_bytes, each.name))
    if not found:
        empty(
            "account_tree",
            "No worktrees",
            "A run makes one for each epic. Accepted work stays in git after they are removed.",
        )
        return
    present = [each for each in found if each.state == _PRESENT]
    with ui.element("section").classes("m-section"):
        with ui.element("div").classes("m-bar"):
            facts(
                [
                    ("On disk", str(len(present))),
                    ("Size", size_of(sum(each.disk_bytes for each in present))),
                    ("Archived", str(len(found) - len(present))),
                ]
            )
            ui.element("span").classes("m-grow")
            if person.may(pb.ROLE_OPERATOR):
                ui.button("Remove what is due", on_click=lambda: _collect(person)).props("outline no-caps")
        _list(person, found)


def _list(person: Person, found: list[pb.EpicWorktree]) -> None:
    acts = person.may(pb.ROLE_OPERATOR)
    columns = ("Epic", "State", "Size>", "Created", "Removed", *([""] if acts else []))
    table = Table("Worktrees", columns)
    shown = 0

    def more() -> None:
        nonlocal shown
        for each in found[shown : shown + _ROWS]:
            row: list[Cell] = [
                partial(_name, each),
                partial(_state, each),
                size_of(each.disk_bytes) if each.HasField("disk_bytes") else "",
                when(each.create_time),
                _removal(each),
            ]
            table.row(*row, *([partial(_actions, person, each)] if acts else []))
        shown += _ROWS
        button.set_visibility(shown < len(found))

    button = ui.button("Show more", on_click=more).props("flat no-caps")
    more()


def _name(each: pb.EpicWorktree) -> None:
    _, run, _, epic, _ = each.name.split("/")
    link(f"/runs/{run}", f"{run} / {epic}", "m-inline")
    if each.path:
        text("span", each.path, "mono quiet m-below")


def _state(each: pb.EpicWorktree) -> None:
    if each.problem:
        badge("Unknown", "wait", "help")
        text("span", each.problem, "quiet")
    elif each.state == _PRESENT:
        badge("On disk", "run", "folder")
    else:
        badge("Archived", "quiet", "inventory_2")


def _removal(each: pb.EpicWorktree) -> str:
    if each.state != _PRESENT:
        return when(each.archive_time)
    return when(each.remove_time) or "after its run has ended"


def _actions(person: Person, each: pb.EpicWorktree) -> None:
    title = each.name.split("/")[3]
    if each.state != _PRESENT:
        restore = ui.button("Restore", on_click=lambda: _restore(person, each)).props("flat dense no-caps")
        restore.props["aria-label"] = f"Restore the worktree of {title}"
    elif each.HasField("remove_time"):
        remove = ui.button("Remove", on_click=lambda: _remove(person, each))
        remove.props("flat dense no-caps color=negative").props["aria-label"] = (
            f"Remove the worktree of {title}"
        )


async def _restore(person: Person, each: pb.EpicWorktree) -> None:
    if await person.act(lambda client: client.restore_epic_worktree(each.name)):
        ui.navigate.reload()


async def _remove(person: Person, each: pb.EpicWorktree) -> None:
    said = "Accepted work stays on its branch. Uncommitted changes are archived, and can be restored here."
    if not await confirmed(f"Remove the worktree of {each.name.split('/')[3]}?", said, "Remove"):
        return
    if await person.act(lambda client: client.remove_epic_worktree(each.name)):
        ui.navigate.reload()


async def _collect(person: Person) -> None:
    found = await person.act(lambda client: client.collect_garbage(dry_run=True))
    if found is None:
        return
    if not found.worktrees and not found.logs:
        ui.notify(
            "Nothing is due yet. HEDDLE_KEEP_WORKTREES and HEDDLE_KEEP_LOGS say how long things are kept."
        )
        return
    said = f"{len(found.worktrees)} worktrees and the logs of {len(found.logs)} runs are older than their retention."
    if not await confirmed("Remove what is due?", said, "Remove"):
        return
    if await person.act(HeddleClient.collect_garbage):
        ui.navigate.reload()
