"""Imports at the start of a program."""

import gc
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
