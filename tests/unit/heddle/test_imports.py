import gc
import importlib
import sys

import pytest

from heddle.imports import without_collections, without_modules


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


def test_a_library_can_look_as_if_it_was_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hidden library cannot be imported inside the block, and can afterwards; one that is in use stays."""
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with without_modules("this", "gc"):
        with pytest.raises(ImportError):
            importlib.import_module("this")
        assert importlib.import_module("gc") is gc
    assert "this" not in sys.modules
