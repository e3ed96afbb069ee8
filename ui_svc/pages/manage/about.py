"""The page about this Heddle: its version, and what `heddle doctor` says."""

import asyncio
from typing import TYPE_CHECKING, Final

from nicegui import ui

from heddle import __version__, pb
from heddle.config import Settings
from ui_svc.pages.manage.layout import badge, facts, section, text
from ui_svc.pages.manage.person import Person

if TYPE_CHECKING:
    from heddle.cli.admin.machine_checks import Finding

_STATES: Final = {
    True: ("Good", "ok", "check"),
    False: ("Fix this", "bad", "error"),
    None: ("Note", "quiet", "info"),
}


async def build(person: Person) -> None:
    """Adds versions and findings; those about the machine are for operators."""
    # The commands' library takes a tenth of a second, which no other page needs.
    from heddle.cli.admin.doctor import worker_findings  # noqa: PLC0415 (see above)
    from heddle.cli.admin.machine_checks import Finding, machine  # noqa: PLC0415 (see above)

    workers = await person.call(lambda client: client.list_workers())
    with section("Heddle"):
        connected = sum(each.connected for each in workers)
        facts(
            [
                ("Version", __version__),
                ("Workers", f"{connected} of {len(workers)} connected"),
                ("Slots", str(sum(each.slots for each in workers if each.connected))),
            ]
        )
        with ui.element("div").classes("m-bar"):
            for word, path in (("Licence: Apache 2.0", "https://www.apache.org/licenses/LICENSE-2.0"),):
                ui.link(word, path, new_tab=True).classes(replace="m-link m-inline").props('rel="noreferrer"')
    found = [finding for worker in workers for finding in worker_findings(worker)]
    if not workers:
        found.append(
            Finding("workers", False, "the scheduler has none", "set HEDDLE_WORKERS for the scheduler")
        )
    _findings("Workers and agents", "What each worker reports about itself.", found)
    if person.may(pb.ROLE_OPERATOR):
        here = await asyncio.to_thread(machine, Settings.read())
        _findings("The machine of the web app", "The same checks as `heddle doctor` makes there.", here)


def _findings(title: str, about: str, found: "list[Finding]") -> None:
    # What must be fixed comes first, then what works.
    found = sorted(found, key=lambda each: (False, True, None).index(each.ok))
    with section(title, about):
        for each in found:
            with ui.element("div").classes("m-finding"):
                word, tone, icon = _STATES[each.ok]
                badge(word, tone, icon)
                with ui.element("div"):
                    text("h3", each.subject)
                    text("p", each.detail)
                    if each.advice:
                        text("p", each.advice, "quiet")
