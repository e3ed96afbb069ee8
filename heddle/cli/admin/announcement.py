"""Tells the operator where Heddle is, once all services serve."""

import shlex

from heddle.cli.admin.health import wait_until_serving
from heddle.cli.admin.identity_commands import show, sign_in_link
from heddle.cli.admin.ports import Endpoints
from heddle.cli.console import output
from heddle.config import DEFAULT_PORT, Settings


async def announce(endpoints: Endpoints, *, as_json: bool, links: bool = True) -> None:
    """Waits until all services serve and prints their addresses.

    With `links`, also prints a link that signs in, and opens it where there is a desktop.
    """
    settings = Settings.read()
    await wait_until_serving(endpoints, settings.tls, output.print_message)
    async with output.connect() as client:
        link = await sign_in_link(client, endpoints.board)
    if as_json:
        # No API message describes a whole Heddle; these names belong to this command.
        facts = {
            "scheduler": endpoints.scheduler.address,
            "board": endpoints.board,
            "home": str(settings.home),
            "sign_in": link,
        }
        output.print_plain_json(facts)
        return
    output.line("Heddle is up. Press Ctrl-C to stop it.")
    if links:
        output.line(f"  board  {link}")
        output.line("         (this link signs in once; `heddle open` makes another)")
    output.line(f"  API    {endpoints.scheduler.address}")
    output.line(f"  data   {settings.home} (logs in {settings.home / 'logs'})")
    others = {}
    if endpoints.base != DEFAULT_PORT:
        others["HEDDLE_SCHEDULER"] = endpoints.scheduler.address
    if settings.home != Settings.read({}).home:
        others["HEDDLE_HOME"] = str(settings.home)
    if others:
        output.line("In other terminals, first run:")
        output.line("  export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in others.items()))
    if links:
        show(link)
