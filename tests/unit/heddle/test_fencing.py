from pathlib import Path

import pytest

from heddle import errors, pb
from heddle.fencing import EpochFence
from tests.support.disk import Disk


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
    disk = Disk(monkeypatch, tmp_path)
    EpochFence(tmp_path / "epoch").check(5)
    assert disk.done == ["sync epoch.new", "rename epoch", "sync ."]


def test_an_epoch_that_is_not_on_disk_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk refuses the file, the call is refused, and the former epoch stays the highest."""
    fence = EpochFence(tmp_path / "epoch")
    fence.check(4)

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", refuse)
        with pytest.raises(OSError, match="No space"):
            fence.check(5)
    fence.check(4)
    assert (tmp_path / "epoch").read_text() == "4"
