"""What threads share is changed by one thread at a time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from heddle.errors import HeddleError
from heddle.files.fencing import EpochFence
from heddle.names import EpicName
from tests.support.repositories import make_repository
from worktree_svc.git import private_folders
from worktree_svc.storage import ports
from worktree_svc.storage.epoch_fence import fence
from worktree_svc.storage.leases import Leases
from worktree_svc.storage.ports import PortRange


class Overlap:
    """Calls `real` and notes how many threads did so at the same time."""

    def __init__(self, real: Callable[..., Any]) -> None:
        self.most = 0
        self._now = 0
        self._real = real

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self._now += 1
        self.most = max(self.most, self._now)
        threading.Event().wait(0.001)  # long enough that another thread would call it if it could
        try:
            return self._real(*arguments, **options)
        finally:
            self._now -= 1


def test_epochs_are_checked_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that bring the same new epoch write it once, and a lower one is refused ever after."""
    overlap = Overlap(EpochFence.check)
    monkeypatch.setattr(EpochFence, "check", lambda *how: overlap(*how))  # noqa: PLW0108 (only a function is bound to its instance)
    check = fence(tmp_path / "epoch")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, [5] * 20))
    assert overlap.most == 1
    with pytest.raises(HeddleError):
        check(4)


def test_leases_are_taken_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that take leases at the same time get different slots and ports."""
    overlap = Overlap(ports.find_block)
    monkeypatch.setattr(ports, "find_block", overlap)
    leases = Leases(PortRange(20_000, 29_999), 0)
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda epic: leases.take(epic, 2), [EpicName("r", f"e{n}") for n in range(12)]))
    assert overlap.most == 1
    assert sorted(lease.slot for lease in taken) == [*range(1, 13)]
    assert len({port for lease in taken for port in lease.ports}) == 24


def test_a_private_folder_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that need the same private folder at the same time make it once."""
    project = make_repository(tmp_path / "project")
    made: list[Path] = []

    def make(private: Path, *_: Any, **__: Any) -> None:
        made.append(private)
        threading.Event().wait(0.001)  # long enough that another thread would make it if it could
        private.mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(private_folders, "make", make)
    folders = private_folders.PrivateFolders(tmp_path / "private")
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(folders.of, [project / ".git"] * 8))
    assert made == [*found]
