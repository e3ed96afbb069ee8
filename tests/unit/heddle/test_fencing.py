import os
from pathlib import Path

import pytest

from heddle import errors, pb
from heddle.fencing import EpochFence


def test_a_lower_epoch_is_refused_and_an_equal_one_is_not(tmp_path: Path) -> None:
    """Only the newest known leader may change anything."""
    fence = EpochFence(tmp_path / "epoch")
    fence.check(2)
    fence.check(2)
    with pytest.raises(errors.HeddleError) as caught:
        fence.check(1)
    assert caught.value.reason == pb.ERROR_REASON_STALE_EPOCH
    assert caught.value.metadata["epoch"] == "2"


def test_the_epoch_survives_a_restart(tmp_path: Path) -> None:
    """A leader that was deposed before the service restarted is still refused."""
    EpochFence(tmp_path / "epoch").check(5)
    with pytest.raises(errors.HeddleError):
        EpochFence(tmp_path / "epoch").check(4)


def test_an_epoch_is_on_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is synced before its rename, and the folder before the call is allowed."""
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noted_sync(file: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{file}').readlink().name}")
        sync(file)

    def noted_replace(path: Path, target: Path) -> Path:
        done.append(f"replace {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    EpochFence(tmp_path / "epoch").check(5)
    assert done == ["sync epoch.new", "replace epoch", f"sync {tmp_path.name}"]
