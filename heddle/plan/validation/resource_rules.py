"""Resources that the epics of a plan can ask for, in the quantities of Kubernetes. Pure."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

MOST: Final = 16

# Those without a domain in their names.
KNOWN: Final = ("cpu", "memory", "ephemeral-storage")

_QUANTITY: Final = re.compile(
    r"(\d+(?:\.\d*)?|\.\d+)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d{1,2})?", re.ASCII
)
# A device or another resource of nodes, such as nvidia.com/gpu.
_EXTENDED: Final = re.compile(
    r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+/[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}

_MEBIBYTE: Final = 1 << 20
_MILLI: Final = Decimal("0.001")


def problems(resources: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yields what is wrong with resources: the name, empty for all of them, and the end of a sentence about it."""
    if len(resources) > MOST:
        yield "", f"has {len(resources)} resources; {MOST} are possible"
    for name, quantity in sorted(resources.items()):
        if problem := _problem(name, quantity):
            yield name, problem


def _problem(name: str, quantity: str) -> str:
    if name not in KNOWN and not (_EXTENDED.fullmatch(name) and len(name) <= 253):
        return f"{name!r} is not a resource; use {', '.join(KNOWN)} or the name of a device such as nvidia.com/gpu"
    amount = _amount(quantity)
    if amount is None:
        return f"{quantity!r} is not a quantity; write it as Kubernetes does: 2, 0.5, 500m, 8Gi, 512Mi, 1e9"
    return _unusable(name, quantity, amount)


def _unusable(name: str, quantity: str, amount: Decimal) -> str:
    if amount <= 0:
        return f"{quantity!r} must be more than 0"
    if name == "cpu" and amount < _MILLI:
        return f"{quantity!r} is less than 1m, a thousandth of a CPU"
    if name in {"memory", "ephemeral-storage"} and amount < _MEBIBYTE:
        return f"{quantity!r} is less than 1Mi; m means thousandths of a byte, M and Mi megabytes"
    if name not in KNOWN and amount != amount.to_integral_value():
        return f"{quantity!r} must be a whole number"
    return ""


def _amount(quantity: str) -> Decimal | None:
    """Returns the number that a quantity means; None if it is none."""
    found = _QUANTITY.fullmatch(quantity)
    if found is None or len(quantity) > 32:
        return None
    number, suffix = Decimal(found[1]), found[2] or ""
    if suffix in _BINARY:
        return number * (1 << _BINARY[suffix])
    power = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:] or 0)
    return number.scaleb(power)


def text(resources: Mapping[str, str]) -> str:
    """Returns resources as cpu 2, memory 8Gi."""
    return ", ".join(f"{name} {quantity}" for name, quantity in sorted(resources.items()))
