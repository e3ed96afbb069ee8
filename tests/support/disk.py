"""What a test sees of the order in which files reach the disk."""

import os
from pathlib import Path
from typing import Any

import pytest


class Disk:
    """Records each sync and each rename below a folder, in order, as "sync PATH" and "rename PATH"."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.done: list[str] = []
        self._folder = folder.resolve()
        sync = os.fsync

        def synced(file: int) -> None:
            self._note("sync", Path(f"/proc/self/fd/{file}").readlink())
            sync(file)

        monkeypatch.setattr(os, "fsync", synced)
        for name in ("replace", "rename"):
            self._watch(monkeypatch, name)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        real = getattr(Path, name)

        def moved(path: Path, target: Any) -> Path:
            done: Path = real(path, target)
            self._note("rename", Path(target))
            return done

        monkeypatch.setattr(Path, name, moved)

    def _note(self, what: str, path: Path) -> None:
        if path.is_relative_to(self._folder):
            self.done.append(f"{what} {path.relative_to(self._folder)}")
