"""The entry point of the `heddle` command."""

import sys


def run() -> None:
    """Runs the command that the process was started with, and exits."""
    # Importing takes a moment, during which Ctrl-C must be quiet too.
    try:
        from heddle.imports import without_collections  # noqa: PLC0415 (inside the try, see above)

        with without_collections():
            if sys.argv[1:2] == ["up"]:
                # Starts the services before it imports what only other commands, or its own end, need.
                from heddle.cli.admin.up import app  # noqa: PLC0415 (as above)
            else:
                from heddle.cli.app import app  # noqa: PLC0415 (as above)
            from heddle.cli.console.command_line import execute  # noqa: PLC0415 (as above)

        code = execute(app, sys.argv[1:])
    except KeyboardInterrupt:
        from heddle.cli.console.exit_codes import INTERRUPTED  # noqa: PLC0415 (a KeyboardInterrupt may come before any import)

        code = INTERRUPTED
    import signal  # noqa: PLC0415 (no import outside the try)

    # Nothing is left to save, so Ctrl-C may end the process silently from here on.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)
