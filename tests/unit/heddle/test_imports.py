import gc

import pytest

from heddle.imports import without_collections


def test_no_collection_runs_while_a_program_is_imported() -> None:
    """The collector rests inside the block; afterwards it works again, without the objects of modules."""
    frozen = gc.get_freeze_count()
    try:
        with without_collections():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()


def test_a_failed_import_leaves_the_collector_on() -> None:
    """A program that continues after a failed import, with Ctrl-C for example, still collects garbage."""
    try:
        with pytest.raises(KeyboardInterrupt), without_collections():
            raise KeyboardInterrupt
        assert gc.isenabled()
    finally:
        gc.unfreeze()
