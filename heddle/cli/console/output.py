"""The output of commands: results go to standard output, messages to standard error."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from heddle.cli.console.exit_codes import INTERRUPTED
from heddle.cli.console.safe_output import SafeConsole, takes_utf8, visible_json
from heddle.config import Settings

# `heddle up` imports this module before it starts the services, and those only afterwards.
if TYPE_CHECKING:
    from google.protobuf.message import Message

    from heddle.client import HeddleClient

# Seconds to wait for a server that is still starting.
PATIENCE: Final = 3.0

Json = Annotated[bool, typer.Option("--json", help="Print protobuf JSON, one message per line.")]
Result = TypeVar("Result")

# A pipe has no width: nothing is truncated or wrapped there.
out: Final = SafeConsole(highlight=False, emoji=False, width=None if sys.stdout.isatty() else 1_000)
err: Final = SafeConsole(stderr=True, highlight=False, emoji=False)


def print_message(text: str) -> None:
    """Prints a message for the user on standard error; it is not part of the result."""
    err.print(text, markup=False, soft_wrap=True)


def print_retention_notice(oldest: int) -> None:
    """Reports that the beginning of a log has been removed."""
    print_message(
        f"the events before {oldest} have been removed; HEDDLE_KEEP_LOGS sets how long they are kept"
    )


def line(text: str) -> None:
    """Prints one line of the result verbatim."""
    out.print(text, markup=False, soft_wrap=True)


def print_text(text: str) -> None:
    """Prints text of several lines: unchanged into a file or pipe, with visible control characters on a terminal."""
    if sys.stdout.isatty():
        line(text.removesuffix("\n"))
        return
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def print_json(message: "Message") -> None:
    """Prints the canonical protobuf JSON of `message` on one line."""
    from google.protobuf.json_format import MessageToJson  # noqa: PLC0415 (see above)

    _write_json(MessageToJson(message, indent=None, ensure_ascii=not takes_utf8(sys.stdout)))


def print_plain_json(value: object) -> None:
    """Prints JSON that is not an API message, on one line."""
    _write_json(json.dumps(value, ensure_ascii=not takes_utf8(sys.stdout)))


def _write_json(text: str) -> None:
    # rich would wrap and colour the text.
    sys.stdout.write(visible_json(text) + "\n")
    sys.stdout.flush()


def connect(patience: float = PATIENCE) -> "HeddleClient":
    """Returns a client of the server at HEDDLE_SCHEDULER."""
    from heddle.client import HeddleClient  # noqa: PLC0415 (see above)
    from heddle.identity import token_file  # noqa: PLC0415 (see above)

    settings = Settings.read()
    return HeddleClient(
        settings.scheduler,
        settings.tls,
        token=lambda: token_file.of_client(settings),
        patience=patience,
    )


async def with_client(call: "Callable[[HeddleClient], Awaitable[Result]]") -> Result:
    """Calls `call` with a new client and returns the result."""
    async with connect() as client:
        return await call(client)


def run_async(main: Coroutine[Any, Any, Result]) -> Result:
    """Runs `main` and returns its result. The first Ctrl-C cancels it, the second ends this process."""

    async def interruptible() -> Result:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (this coroutine runs as one)

        def on_interrupt() -> None:
            if task.cancelling():
                out.show_cursor(show=True)
                os._exit(INTERRUPTED)
            task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, on_interrupt)
        return await main

    try:
        return asyncio.run(interruptible())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
