"""Durations as plan files write them."""

import re
from typing import Final

from heddle.plan.values.text_rules import MAX_SECONDS

FORM: Final = "90s, 5m, 1h30m, 2d, or a number of seconds"

# Also part of the JSON Schema for editors; at least one part is required.
PATTERN: Final = r"^(?=.)(\d+d)?(\d+h)?(\d+m)?(\d+(\.\d+)?s)?$"

_PARTS: Final = re.compile(r"([\d.]+)([dhms])")
_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def seconds(value: object) -> float:
    """Returns the seconds that `value` stands for; raises ValueError with the valid forms."""
    if isinstance(value, str) and re.fullmatch(PATTERN, value, re.ASCII):
        result = sum(float(number) * _SECONDS[unit] for number, unit in _PARTS.findall(value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        result = value
    else:
        raise ValueError(f"is not a valid duration; use {FORM}")
    if not result > 0:
        raise ValueError("must be greater than zero seconds")
    if result > MAX_SECONDS:
        raise ValueError("must be at most 365 days")
    return float(result)
