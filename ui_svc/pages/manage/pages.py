"""Installs the pages with forms."""

from typing import Final

from nicegui import client as nicegui_client

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
    template.install(nicegui_client.templates.env, _BUILDERS)
    for place in layout.PLACES:
        layout.install(place, client, _BUILDERS[place.path])
