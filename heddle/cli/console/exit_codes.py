"""Exit codes of the command, described in docs/cli.md. 0 is success."""

from typing import Final

FAILED: Final = 1
BAD_INPUT: Final = 2
# As shells report a program that SIGINT ended: 128 + 2.
INTERRUPTED: Final = 130
