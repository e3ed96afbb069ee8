"""Labels of workers, which the epics of a plan can ask for. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

MOST: Final = 32

_PART: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def problems(labels: Mapping[str, str]) -> Iterator[str]:
    """Yields what is wrong with labels, as the end of a sentence about them."""
    if len(labels) > MOST:
        yield f"has {len(labels)} labels; {MOST} are possible"
    for key, value in labels.items():
        if not (_PART.fullmatch(key) and _PART.fullmatch(value)):
            yield f"{key}={value} must be letters, digits and -_., at most 63 on each side"


def text(labels: Mapping[str, str]) -> str:
    """Returns labels as gpu=true, zone=eu."""
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
