"""Ids of runs: readable, and unique for each run of the same plan."""

import re
import secrets
import unicodedata
from typing import Final

_LONGEST_SLUG: Final = 40
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"


def random_suffix() -> str:
    """Returns five random characters of base32."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(5))


def run_id(title: str, suffix: str) -> str:
    """Returns the plan's name in letters, digits and dashes, and the suffix; "run" if nothing is left."""
    return f"{slug(title) or 'run'}-{suffix}"


def slug(title: str) -> str:
    """Returns a title in lower-case letters, digits and dashes; empty if nothing is left."""
    ascii_only = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:_LONGEST_SLUG].strip("-")
