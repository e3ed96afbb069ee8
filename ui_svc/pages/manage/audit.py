"""The page of the audit log: filters, older entries, and an export."""

import csv
import io
from collections.abc import Iterable
from functools import partial
from typing import Final

from nicegui import ui

from heddle import pb
from heddle.identity.principals import person as person_of
from ui_svc.pages.manage.layout import Table, badge, empty, exact, text
from ui_svc.pages.manage.person import Person

# Entries that are read at once, and that an export has at most.
_PAGE: Final = 200
_EXPORTED: Final = 50_000

_FIELDS: Final = ("sequence", "time", "user", "method", "resource", "request_id", "peer", "refusal", "detail")


async def build(person: Person) -> None:
    """Adds the newest entries, for admins."""
    if not person.may(pb.ROLE_ADMIN):
        empty("lock", "Only admins read the audit log", f"Your role is {person.role_name}.")
        return
    await _Log(person).build()


class _Log:
    """The filtered log; older entries are read on request."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._entries: list[pb.AuditEntry] = []

    async def build(self) -> None:
        with ui.element("section").classes("m-section"):
            with ui.element("div").classes("m-bar"):
                self._user = ui.input("User").props("outlined dense clearable debounce=300")
                self._words = ui.input("Call or resource").props("outlined dense clearable debounce=300")
                self._refused = ui.checkbox("Only refused calls")
                ui.element("span").classes("m-grow")
                ui.button("Export as CSV", icon="download", on_click=self._export).props("outline no-caps")
            self._list = ui.element("div")
            self._older = ui.button("Show older entries", on_click=self._read).props("flat no-caps")
        self._user.on_value_change(self._begin)
        self._words.on_value_change(self._draw)
        self._refused.on_value_change(self._draw)
        await self._read()

    async def _begin(self) -> None:
        self._entries = []
        await self._read()

    async def _read(self) -> None:
        page = await self._page(self._entries[-1].sequence if self._entries else 0, _PAGE)
        self._entries += page
        self._older.set_visibility(len(page) == _PAGE)
        self._draw()

    async def _page(self, before: int, size: int) -> list[pb.AuditEntry]:
        name = (self._user.value or "").strip()
        user = name if not name or ":" in name else f"user:{name}"
        return await self._person.call(
            lambda client: client.list_audit_entries(before=before, user=user, page_size=size)
        )

    def _draw(self) -> None:
        chosen = [each for each in self._entries if self._matches(each)]
        self._list.clear()
        with self._list:
            if not chosen:
                text(
                    "p",
                    "No entry matches these filters." if self._entries else "Nothing was changed yet.",
                    "quiet",
                )
                return
            table = Table("Audit log", ("Time (UTC)", "User", "Call", "Resource", "Outcome"))
            for each in chosen:
                table.row(
                    partial(text, "span", exact(each.time), "m-whole"),
                    person_of(each.user) or "unknown",
                    partial(text, "span", each.method.rpartition(".")[2], "m-whole"),
                    partial(text, "span", each.resource, "mono"),
                    partial(_outcome, each),
                )

    def _matches(self, entry: pb.AuditEntry) -> bool:
        words = (self._words.value or "").strip().lower()
        return words in f"{entry.method} {entry.resource}".lower() and bool(
            entry.refusal or not self._refused.value
        )

    async def _export(self) -> None:
        found: list[pb.AuditEntry] = []
        while len(found) < _EXPORTED:
            page = await self._page(found[-1].sequence if found else 0, 1000)
            found += page
            if len(page) < 1000:
                break
        ui.download.content(as_csv(each for each in found if self._matches(each)), "heddle-audit.csv")


def _outcome(entry: pb.AuditEntry) -> None:
    if entry.refusal:
        badge("Refused", "bad", "block")
        text("span", entry.refusal, "quiet")
    else:
        badge("Done", "ok", "check")
        if entry.detail:
            text("span", entry.detail, "quiet")


def as_csv(entries: Iterable[pb.AuditEntry]) -> str:
    """Returns the entries as CSV with a header. Cells that a spreadsheet would run as a formula get a quote."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(_FIELDS)
    for each in entries:
        time = each.time.ToJsonString()
        cells = (
            each.sequence,
            time,
            each.user,
            each.method,
            each.resource,
            each.request_id,
            each.peer,
            each.refusal,
            each.detail,
        )
        writer.writerow(
            [f"'{cell}" if str(cell).startswith(("=", "+", "-", "@")) else cell for cell in cells]
        )
    return file.getvalue()
