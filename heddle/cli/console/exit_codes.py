"""Exit codes of the command, described in docs/cli.md. 0 is success."""

from typing import Final

FAILED: Final = 1
BAD_INPUT: Final = 2
# `heddle apply --dry-run` found a difference.
DIFFERS: Final = 3
# Shells report 128 + 2 for a program that SIGINT ended.
INTERRUPTED: Final = 130
