"""Exit codes of the command; docs/cli.md tells what each means. 0 is done."""

from typing import Final

FAILED: Final = 1
BAD_INPUT: Final = 2
# As shells say it of a program that SIGINT ended: 128 + 2.
INTERRUPTED: Final = 130
