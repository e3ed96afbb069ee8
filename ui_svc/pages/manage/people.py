"""The page of people and tokens: who is signed in, and tokens for people and programs."""

from datetime import timedelta
from functools import partial
from typing import Final

from google.protobuf.duration_pb2 import Duration
from nicegui import ui

from heddle import pb
from heddle.client import HeddleClient
from heddle.identity.principals import person as person_of
from ui_svc.pages.manage.layout import Table, badge, confirmed, empty, section, text, when
from ui_svc.pages.manage.person import ROLES, Person

_LIFETIMES: Final = {7: "7 days", 30: "30 days", 90: "90 days", 365: "1 year"}
_MEANING: Final = {
    pb.ROLE_VIEWER: "Viewer: reads everything",
    pb.ROLE_OPERATOR: "Operator: starts runs and answers agents",
    pb.ROLE_ADMIN: "Admin: everything, also tokens and the audit log",
}


async def build(person: Person) -> None:
    """Adds who the person is, and for admins the tokens of all."""
    with section("You"), ui.element("div").classes("m-title"):
        text("span", person.name)
        badge(person.role_name.capitalize(), "run")
    if not person.may(pb.ROLE_ADMIN):
        empty(
            "lock",
            "Only admins see tokens",
            f"Your role is {person.role_name}. Ask an admin for a token or a sign-in link.",
        )
        return
    tokens = await person.call(lambda client: client.list_tokens())
    _list(
        person,
        "Tokens",
        "For programs, and for people who use the command.",
        [t for t in tokens if not t.session],
    )
    _list(
        person,
        "Signed-in browsers",
        "Each began with a link that worked once.",
        [t for t in tokens if t.session],
    )


def _list(person: Person, title: str, about: str, tokens: list[pb.Token]) -> None:
    with section(title, about):
        if title == "Tokens":
            with ui.element("div").classes("m-bar"):
                ui.button("Create a token", icon="add", on_click=lambda: _create(person)).props(
                    "unelevated no-caps"
                )
        if not tokens:
            text(
                "p",
                "There are no tokens." if title == "Tokens" else "No browser is signed in by a link.",
                "quiet",
            )
            return
        table = Table(title, ("What for", "Owner", "Role", "Projects", "Created", "Expires", ""))
        for each in tokens:
            table.row(
                each.title or each.name,
                person_of(each.user),
                partial(badge, ROLES.get(each.role, "none").capitalize(), "quiet"),
                ", ".join(each.projects) or "All",
                when(each.create_time),
                when(each.expire_time) or "never",
                partial(_revocation, person, each),
            )


def _revocation(person: Person, token: pb.Token) -> None:
    button = ui.button("Revoke", on_click=lambda: _revoke(person, token))
    button.props("flat dense no-caps color=negative").props["aria-label"] = (
        f"Revoke {token.title or token.name}"
    )


async def _revoke(person: Person, token: pb.Token) -> None:
    said = "Calls with it are refused at once, and its open pages end within seconds. It cannot be undone."
    if not await confirmed(
        f"Revoke “{token.title or token.name}” of {person_of(token.user)}?", said, "Revoke"
    ):
        return

    async def revoke(client: HeddleClient) -> bool:
        await client.revoke_token(token.name)
        return True

    if await person.act(revoke):
        ui.navigate.reload()


async def _create(person: Person) -> None:
    with ui.dialog() as dialog, ui.card().classes("m-dialog"):
        text("h2", "Create a token")
        title = ui.input("What it is for", placeholder="Nightly builds").props("outlined dense")
        owner = ui.input("Owner", value=person.name).props("outlined dense")
        role = ui.select(_MEANING, value=pb.ROLE_OPERATOR, label="Role").props("outlined dense")
        projects = ui.input("Only for these projects", placeholder="All").props(
            'outlined dense hint="Paths or addresses of repositories, separated by commas"'
        )
        days = ui.select(_LIFETIMES, value=90, label="Valid for").props("outlined dense")

        async def submit() -> None:
            request = pb.CreateTokenRequest(
                title=title.value.strip(),
                user=owner.value.strip(),
                role=role.value,
                projects=[each.strip() for each in projects.value.split(",") if each.strip()],
            )
            lifetime = Duration()
            lifetime.FromTimedelta(timedelta(days=days.value))
            request.lifetime.CopyFrom(lifetime)
            made = await person.act(lambda client: client.create_token(request))
            if made is not None:
                dialog.submit(made)

        with ui.row().classes("m-actions"):
            ui.button("Cancel", on_click=dialog.close).props("flat no-caps")
            ui.button("Create", on_click=submit).props("unelevated no-caps")
    dialog.props["aria-label"] = "Create a token"
    made = await dialog
    dialog.delete()
    if made is not None:
        await _show(made)


async def _show(made: pb.CreateTokenResponse) -> None:
    """Shows a new secret, which only this dialog has."""
    with ui.dialog().props("persistent") as dialog, ui.card().classes("m-dialog"):
        text("h2", "Copy the token now")
        text("p", "It is not stored, so it cannot be shown again. Programs send it as HEDDLE_TOKEN.", "quiet")
        text("div", made.secret, "m-secret")
        with ui.row().classes("m-actions"):
            copy = ui.button("Copy", icon="content_copy").props("outline no-caps")
            copy.on_click(lambda: ui.clipboard.write(made.secret))
            ui.button("Done", on_click=dialog.close).props("unelevated no-caps")
    dialog.props["aria-label"] = "The new token"
    await dialog
    dialog.delete()
    ui.navigate.reload()
