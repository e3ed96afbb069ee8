"""Shows a run until it has ended."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from functools import partial

from rich.live import Live

from heddle import pb
from heddle.cli.console import event_lines, output, run_board
from heddle.cli.console.exit_codes import FAILED
from heddle.client import HeddleClient
from heddle.files.retained_log import from_oldest


async def follow_run(client: HeddleClient, name: str, *, after: int = 0, as_json: bool = False) -> pb.Run:
    """Shows the run `name` from after event `after` until it has ended; returns the ended run.

    A terminal shows a bar for each epic; any other output gets a line for each event.
    """
    # A missing server or run fails immediately; only later interruptions are retried.
    await client.get_run(name)
    state = run_board.RunBoard()
    outage = _Outage()
    show_bars = output.out.is_terminal and not as_json and not after
    shown = Live(state, console=output.out, refresh_per_second=4) if show_bars else nullcontext()
    with shown:
        watch = partial(_watch, client, name, outage)
        async for response in from_oldest(watch, after, output.print_retention_notice):
            outage.ended()
            state.take(response)
            if as_json:
                output.print_json(response)
            elif not show_bars:
                for event in response.events:
                    output.line(event_lines.line(event))
    run = await client.get_run(name)
    if not as_json:
        for line in run_board.result_lines(run, await client.list_epics(name)):
            output.line(line)
    return run


def _watch(
    client: HeddleClient, name: str, outage: "_Outage", after: int
) -> AsyncIterator[pb.WatchRunResponse]:
    return client.watch_run(name, after=after, on_break=outage.began)


def exit_code(run: pb.Run) -> int:
    """Returns 0 only for a run that succeeded."""
    return 0 if run.state == pb.RUN_STATE_SUCCEEDED else FAILED


class _Outage:
    """Reports once that the connection was lost, and once that it is back."""

    def __init__(self) -> None:
        self._is_on = False

    def began(self, why: str) -> None:
        if not self._is_on:
            output.print_message(
                f"lost the connection to the server ({why}); reconnecting. The run continues meanwhile."
            )
        self._is_on = True

    def ended(self) -> None:
        if self._is_on:
            output.print_message("reconnected to the server")
        self._is_on = False
