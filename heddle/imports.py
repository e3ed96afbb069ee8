"""Imports at the start of a program."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collections() -> Iterator[None]:
    """Runs no garbage collection inside the block, and none over what the block has imported.

    Modules are no garbage. Collections that visit their objects again and again take a tenth of a start.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def without_modules(*names: str) -> Iterator[None]:
    """Makes these libraries look as if they were not installed, for what is imported inside the block.

    Libraries import others in case a program uses both. Those that no service uses take a tenth of its start. A library
    that has been imported before stays.
    """
    hidden = [name for name in names if name not in sys.modules]
    # How Python notes that a module must not be imported; the type of the table does not know.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # as above
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
