"""The frame of the pages with forms, and the parts that they share."""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from heddle.client import HeddleClient, ServerUnreachable
from heddle.errors import HeddleError
from ui_svc.pages.manage.person import Person, person_of_page, problem

# Each split at it is a text outside of backticks, then the code in them, and so on.
_CODE: Final = re.compile(r"`([^`\n]+)`")

_HERE: Final = Path(__file__).parent


class Place(NamedTuple):
    """A page of the navigation. `about` says in a sentence what it is for."""

    path: str
    word: str
    icon: str
    about: str


PLACES: Final = (
    Place("/workers", "Workers", "dns", "Where agents run: their slots, disks and agents."),
    Place("/worktrees", "Worktrees", "account_tree", "The folders in which agents work, and what they hold."),
    Place("/projects", "Projects", "folder_open", "The repositories that agents work on."),
    Place("/spending", "Spending", "insights", "What agents cost, by day, person and agent."),
    Place("/people", "People and tokens", "group", "Who may use Heddle, and with which role."),
    Place("/audit", "Audit log", "fact_check", "Who changed what, and which calls were refused."),
    Place("/settings", "Settings", "tune", "Your own choices, kept for all of your browsers."),
    Place("/about", "About and health", "monitor_heart", "This Heddle, and what it needs."),
)

# For Quasar's elements; white text is readable on each.
_PRIMARY: Final = "#1f5fd6"
_NEGATIVE: Final = "#b71f45"
_POSITIVE: Final = "#0b7358"

Build = Callable[[Person], Awaitable[None]]


@cache
def _style() -> str:
    return (_HERE / "manage.css").read_text()


@cache
def _script() -> str:
    return (_HERE / "theme.js").read_text()


_LOGO: Final = (
    '<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M4 2v16M10 2v16M16 2v16"/>'
    '<path class="weft" d="M2 6.5h5M13 6.5h5M7 13.5h6"/></svg><span>Heddle</span>'
)


def install(place: Place, client: HeddleClient, build: Build) -> None:
    """Serves a page of the navigation; `build` adds its content for the person who opens it.

    If the API refuses a call of `build`, or the scheduler does not answer, the page says why.
    """

    @ui.page(place.path, title=f"{place.word} · Heddle")
    async def page() -> None:
        _frame(place)
        content = ui.element("main").classes("m-main").props('id="content"')
        with content, ui.element("header").classes("m-head"):
            text("h1", place.word)
            text("p", place.about, "quiet")
        try:
            person = await person_of_page(client)
            with content:
                await build(person)
        except (HeddleError, ServerUnreachable) as error:
            with content:
                empty("cloud_off", "This page cannot be shown", problem(error))


def _frame(place: Place) -> None:
    ui.colors(primary=_PRIMARY, negative=_NEGATIVE, positive=_POSITIVE)
    ui.add_head_html(f"<style>{_style()}</style><script>{_script()}</script>")
    with ui.element("header").classes("m-top"):
        link("/", "", "m-mark").props('aria-label="Heddle: all runs"').add_slot("default", _LOGO)
        ui.element("span").classes("m-grow")
        with ui.element("nav").classes("m-places").props('aria-label="Pages"'):
            for path, word in (("/", "Runs"), ("/costs", "Costs")):
                link(path, word)
        ui.button(icon="dark_mode").props('flat round dense aria-label="Switch theme"').classes("m-theme").on(
            "click", js_handler="() => heddleSwitchTheme()"
        )
    with ui.element("nav").classes("m-side").props('aria-label="Manage"'):
        for each in PLACES:
            item = link(each.path, "", "m-item")
            if each is place:
                item.props('aria-current="page"')
            with item:
                ui.icon(each.icon).props('aria-hidden="true"')
                text("span", each.word)


def text(tag: str, said: str, classes: str = "") -> Element:
    """Adds an element with a text, which is never read as HTML; what is in backticks is shown as code."""
    parts = _CODE.split(said)
    if len(parts) == 1:
        return TextElement(tag=tag, text=said).classes(classes)
    with ui.element(tag).classes(classes) as element:
        for place, part in enumerate(parts):
            if part:
                TextElement(tag="code" if place % 2 else "span", text=part)
    return element


def link(path: str, said: str, classes: str = "") -> Element:
    """Adds a link to a page of the web app, below the prefix that a proxy adds."""
    return ui.link(said, path).classes(replace=f"m-link {classes}")


def empty(icon: str, title: str, advice: str) -> None:
    """Says that there is nothing, why, and what to do."""
    with ui.element("section").classes("m-empty").props('role="status"'):
        ui.icon(icon).props('aria-hidden="true"')
        text("h2", title)
        if advice:
            text("p", advice, "quiet")


def section(title: str, about: str = "") -> Element:
    """Adds a part of the page with a heading; use it as a context."""
    part = ui.element("section").classes("m-section")
    with part:
        text("h2", title)
        if about:
            text("p", about, "quiet")
    return part


def badge(said: str, tone: str = "quiet", icon: str = "") -> None:
    """Adds a short state; `tone` is ok, wait, bad, run or quiet. The word says it, the colour only repeats it."""
    with ui.element("span").classes(f"m-badge tone-{tone}"):
        if icon:
            ui.icon(icon).props('aria-hidden="true"')
        text("span", said)


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Adds a list of names and values."""
    with ui.element("dl").classes("m-facts"):
        for name, value in pairs:
            with ui.element("div"):
                text("dt", name)
                text("dd", value, "num")


# The content of a table's cell: a text, or a function that fills it.
Cell: TypeAlias = str | Callable[[], object]


class Table:
    """A table whose rows become cards on a phone. Columns whose names end in `>` are right-aligned."""

    def __init__(self, label: str, columns: Sequence[str]) -> None:
        self._columns = [name.rstrip(">") for name in columns]
        self._right = [name.endswith(">") for name in columns]
        with ui.element("div").classes("m-scroll"), ui.element("table").classes("m-table") as table:
            table.props["aria-label"] = label
            with ui.element("thead"), ui.element("tr"):
                for name, right in zip(self._columns, self._right, strict=True):
                    head = text("th", name, "right" if right else "").props('scope="col"')
                    if not name:
                        with head:
                            text("span", "Actions", "visually-hidden")
            self._body = ui.element("tbody")

    def row(self, *cells: Cell) -> None:
        """Adds a row: a text for each cell, or a function that fills it."""
        with self._body, ui.element("tr"):
            for place, (cell, name, right) in enumerate(zip(cells, self._columns, self._right, strict=True)):
                tag = "th" if place == 0 else "td"
                element = ui.element(tag).classes("right num" if right else "")
                element.props["data-label"] = name
                if place == 0:
                    element.props["scope"] = "row"
                with element, ui.element("div").classes("m-cell"):
                    if callable(cell):
                        cell()
                    else:
                        text("span", cell)


async def confirmed(title: str, said: str, action: str) -> bool:
    """Asks in a dialog, and returns whether the person chose the action."""
    with ui.dialog() as dialog, ui.card().classes("m-dialog"):
        text("h2", title)
        text("p", said, "quiet")
        with ui.row().classes("m-actions"):
            ui.button("Cancel", on_click=lambda: dialog.submit(False)).props("flat no-caps")
            ui.button(action, on_click=lambda: dialog.submit(True)).props("unelevated no-caps color=negative")
    dialog.props["aria-label"] = title
    answer = await dialog
    dialog.delete()
    return bool(answer)


def when(stamp: Timestamp, *, now: datetime | None = None) -> str:
    """Returns how long ago, or in how long, a time is; empty for no time."""
    if not stamp.seconds:
        return ""
    seconds = stamp.seconds - (now or datetime.now(UTC)).timestamp()
    said = _length(abs(seconds))
    if said == "now":
        return "just now"
    return f"in {said}" if seconds > 0 else f"{said} ago"


def exact(stamp: Timestamp) -> str:
    """Returns a time for a table that is compared: date and time in UTC."""
    return stamp.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M:%S") if stamp.seconds else ""


def _length(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"


def size_of(count: int) -> str:
    """Returns bytes in a unit that people read: `812 KB`."""
    size = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def money(micros: int) -> str:
    """Returns `$0.32`; amounts below a cent have as many digits as they need to differ from zero."""
    dollars = micros / 1_000_000
    return f"${dollars:,.2f}" if dollars >= 0.01 or not micros else f"${dollars:.4f}"
