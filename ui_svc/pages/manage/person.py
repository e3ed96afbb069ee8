"""The person whose browser shows a page, and the calls of the API in their name."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from nicegui import ui

from heddle import pb
from heddle.client import HeddleClient, ServerUnreachable
from heddle.errors import HeddleError
from heddle.identity.principals import person
from ui_svc.endpoints.sign_in import acting, session_token

T = TypeVar("T")

ROLES: Final = {pb.ROLE_VIEWER: "viewer", pb.ROLE_OPERATOR: "operator", pb.ROLE_ADMIN: "admin"}


class Person:
    """Calls the API with the rights of one signed-in person, also long after the page was built."""

    def __init__(self, client: HeddleClient, caller: pb.GetCallerResponse) -> None:
        self._client = client
        self._token = session_token()
        self.user: Final = caller.user
        self.role: Final = caller.role

    @property
    def name(self) -> str:
        """The name without its kind, such as `ada`."""
        return person(self.user)

    @property
    def role_name(self) -> str:
        return ROLES.get(self.role, "none")

    def may(self, role: "pb.Role.ValueType") -> bool:
        """Returns whether the API admits calls that need `role`."""
        return self.role >= role

    async def call(self, work: Callable[[HeddleClient], Awaitable[T]]) -> T:
        """Returns the result of a call; raises HeddleError or ServerUnreachable."""
        with acting(self._token):
            return await work(self._client)

    async def act(self, work: Callable[[HeddleClient], Awaitable[T]], said: str = "") -> T | None:
        """Makes a change, and tells its outcome on the page; None if it was refused."""
        try:
            result = await self.call(work)
        except (HeddleError, ServerUnreachable) as error:
            ui.notify(problem(error), type="negative", multi_line=True, close_button="Close", timeout=0)
            return None
        if said:
            ui.notify(said, type="positive")
        return result


# What the sign-in stored for changes; endpoints/sign_in.py writes it.
_STORED: Final = "localStorage.getItem('heddle-token')"

# Seconds that a connected browser may take to answer.
_PATIENCE: Final = 20.0


async def person_of_page(client: HeddleClient) -> Person:
    """Returns the person who opened the page; raises HeddleError or ServerUnreachable.

    The cookie of the page only reads, so the person is whoever has the token that the browser stores for this port. A program
    that opens the page has its whole token in the request.
    """
    await ui.context.client.connected()
    try:
        stored = await ui.run_javascript(_STORED, timeout=_PATIENCE)
    except TimeoutError:
        stored = None
    if isinstance(stored, str) and stored:
        with suppress(HeddleError), acting(stored):
            return Person(client, await client.get_caller())
    return Person(client, await client.get_caller())


def problem(error: Exception) -> str:
    """Returns an error as a sentence for the page."""
    if isinstance(error, HeddleError):
        fields = "; ".join(f"{each.field} {each.description}" for each in error.violations)
        return fields or error.message
    return f"The scheduler does not answer: {error}"
