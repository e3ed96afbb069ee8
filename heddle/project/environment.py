"""The environment variables of an epic's setup, agents, checks and teardown."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

# The prefix of names that only Heddle sets.
RESERVED: Final = "HEDDLE_"

_REFERENCE: Final = re.compile(rf"\$\{{({RESERVED}\w*)\}}")


def own(slot: int, ports: Sequence[int]) -> dict[str, str]:
    """Returns the variables of an epic's slot and its ports; without ports, only the slot."""
    found = {"HEDDLE_SLOT": str(slot)}
    if ports:
        found |= {"HEDDLE_PORT": str(ports[0]), "HEDDLE_PORTS": ",".join(map(str, ports))}
    return found | {f"HEDDLE_PORT_{number}": str(port) for number, port in enumerate(ports, 1)}


def resolved(env: Mapping[str, str], slot: int, ports: Sequence[int]) -> dict[str, str]:
    """Returns the project's variables, with references to the epic's variables replaced, and the epic's variables."""
    known = own(slot, ports)

    def value_of(reference: re.Match[str]) -> str:
        return known.get(reference[1], reference[0])

    return {name: _REFERENCE.sub(value_of, value) for name, value in env.items()} | known


def unknown_references(value: str, ports: int) -> list[str]:
    """Returns the HEDDLE_ variables in `value` that an epic with this number of ports does not have."""
    known = own(1, range(ports))
    return [name for name in _REFERENCE.findall(value) if name not in known]
