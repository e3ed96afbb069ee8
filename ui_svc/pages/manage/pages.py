"""Installs the pages with forms."""

from typing import Final

from heddle.client import HeddleClient
from ui_svc.pages.manage import (
    about,
    audit,
    layout,
    people,
    projects,
    settings,
    spending,
    template,
    workers,
    worktrees,
)
from ui_svc.web.nicegui_parts import page_templates

_BUILDERS: Final = {
    "/workers": workers.build,
    "/worktrees": worktrees.build,
    "/projects": projects.build,
    "/spending": spending.build,
    "/people": people.build,
    "/audit": audit.build,
    "/settings": settings.build,
    "/about": about.build,
}


def install(client: HeddleClient) -> None:
    """Serves each page of the navigation; `client` acts as whoever sent the request."""
    template.install(page_templates(), _BUILDERS)
    for place in layout.PLACES:
        layout.install(place, client, _BUILDERS[place.path])
