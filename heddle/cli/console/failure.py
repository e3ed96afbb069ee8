"""The failure of a command."""

from heddle.cli.console.exit_codes import FAILED


class Failure(Exception):  # noqa: N818 (an outcome of the command, not a defect)
    """The command cannot continue; the message says why and what to do."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code
