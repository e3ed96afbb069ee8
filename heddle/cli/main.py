"""The entry point of the `heddle` command."""

import sys


def run() -> None:
    """Runs the command that the process was started with, and exits."""
    # Whatever is imported takes a moment, in which Ctrl-C must be quiet too.
    try:
        from heddle.cli.app import main  # noqa: PLC0415

        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        from heddle.cli.console.exit_codes import INTERRUPTED  # noqa: PLC0415

        code = INTERRUPTED
    import signal  # noqa: PLC0415

    # From here on nothing is left to save, so a Ctrl-C may end it without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)
