"""Runs one command and turns its end into an exit code."""

import os
import sys
from collections.abc import Sequence

import typer

from heddle.cli.console import output, safe_output


def execute(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Runs a command of `app`; returns its exit code. Expected errors become messages on standard error."""
    safe_output.prepare(sys.stdout, sys.stderr)
    if arguments[:1] == ["--json"]:
        arguments = [*arguments[1:], "--json"]
    try:
        app(args=arguments, prog_name="heddle")
    except SystemExit as ended:
        # Raised by typer after a command, a --help or a wrong option, and instead of a BrokenPipeError.
        if isinstance(ended.__context__, BrokenPipeError):
            return _flushed(0)
        return _flushed(ended.code if isinstance(ended.code, int) else 0)
    except BrokenPipeError:
        return _flushed(0)
    except Exception as error:
        # Imports much that a command which starts the services must not wait for.
        from heddle.cli.console.expected_errors import explained  # noqa: PLC0415 (see above)

        failure = explained(error)
        if failure is None:
            raise
        output.print_message(f"heddle: {failure}")
        return failure.exit_code
    return 0


def _flushed(code: int) -> int:
    """Flushes standard output and returns `code`; a reader that has closed, such as `head`, is not an error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes again at exit and would print the error there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code
