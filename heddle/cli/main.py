"""The entry point of the `heddle` command."""

import signal
import sys

from heddle.cli.exit_codes import INTERRUPTED


def run() -> None:
    """Runs the command that the process was started with, and exits."""
    try:
        from heddle.cli.app import main  # noqa: PLC0415 (takes a moment, in which Ctrl-C must be quiet too)

        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    # From here on nothing is left to save, so a Ctrl-C may end it without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)
