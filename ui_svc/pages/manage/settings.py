"""The page of a person's own settings."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from nicegui import ui
from nicegui.events import ValueChangeEventArguments

from heddle import pb
from ui_svc.pages.manage.layout import section, text
from ui_svc.pages.manage.person import Person

EDITORS: Final = {"": "None", "vscode": "VS Code", "cursor": "Cursor", "jetbrains": "JetBrains", "zed": "Zed"}
_THEMES: Final = {pb.THEME_UNSPECIFIED: "System", pb.THEME_LIGHT: "Light", pb.THEME_DARK: "Dark"}
# As the browser stores it; empty removes the choice.
_STORED: Final = {pb.THEME_UNSPECIFIED: "", pb.THEME_LIGHT: "light", pb.THEME_DARK: "dark"}
_OCCASIONS: Final = {
    pb.OCCASION_WAITING: "Work waits for you: a question, a used-up budget, a merge",
    pb.OCCASION_FAILED: "A task or a run has failed",
    pb.OCCASION_ENDED: "A run has ended",
}


async def build(person: Person) -> None:
    """Adds the choices; each is stored at once."""
    chosen = await person.call(lambda client: client.get_preferences())
    workers = await person.call(lambda client: client.list_workers())
    agents = {agent.name for worker in workers for agent in worker.agents if not agent.name.endswith(":")}
    names = {"": "The plan's", **{name: name for name in sorted(agents | ({chosen.agent} - {""}))}}

    async def store() -> None:
        await person.act(lambda client: client.update_preferences(chosen), "Saved")

    async def set_field(field: str, value: object) -> None:
        setattr(chosen, field, value)
        await store()

    with section("New runs", "What the form for a run suggests."):
        agent = ui.select(names, value=chosen.agent, label="Default agent").props("outlined dense")
        agent.on_value_change(lambda event: set_field("agent", event.value))
    with section("Editor", "Where links to files and worktrees open."):
        known = EDITORS | ({chosen.editor: chosen.editor} if chosen.editor not in EDITORS else {})
        editor = ui.select(known, value=chosen.editor, label="Editor").props("outlined dense")
        editor.on_value_change(lambda event: set_field("editor", event.value))
    with section("Theme", "Light, dark, or as your system is set."):
        theme = ui.radio(_THEMES, value=chosen.theme).props('inline aria-label="Theme"')

        async def set_theme() -> None:
            ui.run_javascript(f'heddleSetTheme("{_STORED[theme.value]}")')
            await set_field("theme", theme.value)

        theme.on_value_change(set_theme)
    with section(
        "Notifications", "The browser notifies you only while the tab is hidden, and only if you allow it."
    ):
        for occasion, words in _OCCASIONS.items():
            box = ui.checkbox(words, value=occasion in chosen.notify)
            box.on_value_change(partial(_notify, chosen, occasion, store))
    with section("Signed in"):
        text("p", f"You are {person.name}, with the role {person.role_name}.")
        ui.button("Sign out", icon="logout").props("outline no-caps").classes("self-start").on(
            "click", js_handler="() => fetch('/sign-out', {method: 'POST'}).then(() => location.assign('/'))"
        )


async def _notify(
    chosen: pb.Preferences,
    occasion: "pb.Occasion.ValueType",
    store: Callable[[], Awaitable[None]],
    event: ValueChangeEventArguments[bool],
) -> None:
    kept = [each for each in chosen.notify if each != occasion]
    chosen.ClearField("notify")
    chosen.notify.extend([*kept, occasion] if event.value else kept)
    await store()
