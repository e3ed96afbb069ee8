import os
import time
from pathlib import Path

import pytest

from heddle import errors, pb
from heddle.fencing import FILES, REPAIR, EpochFence, ceiling, implausible, write


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


@pytest.mark.parametrize("now", [0.0, 1_790_000_000.0])
def test_an_epoch_that_no_leader_can_have_is_refused(tmp_path: Path, now: float) -> None:
    """One request with a huge epoch does not fence off all later leaders, even if the clock is not set."""
    fence = EpochFence(tmp_path / "epoch", lambda: now)
    fence.check(7)
    for epoch in (2**62, ceiling(now) + 1):
        with pytest.raises(errors.HeddleError) as caught:
            fence.check(epoch)
        assert caught.value.reason == pb.ERROR_REASON_INVALID_FIELD
    # A worker that was away for long, or is new, follows any plausible leader.
    fence.check(1_000_000)
    EpochFence(tmp_path / "epoch", lambda: now).check(ceiling(now))


def test_a_repaired_file_counts_at_once(tmp_path: Path) -> None:
    """A file that an earlier version poisoned names its repair, which takes effect while the service runs."""
    (tmp_path / FILES[0]).write_text(str(2**62))
    (tmp_path / FILES[1]).write_text("12")
    fence = EpochFence(tmp_path / FILES[0])
    with pytest.raises(errors.HeddleError) as caught:
        fence.check(13)
    assert (caught.value.reason, REPAIR in caught.value.message) == (pb.ERROR_REASON_STALE_EPOCH, True)
    assert implausible(tmp_path, time.time()) == {tmp_path / FILES[0]: 2**62}
    write(tmp_path / FILES[0], 0)
    fence.check(13)
    with pytest.raises(errors.HeddleError):
        fence.check(12)
    assert not implausible(tmp_path, time.time())


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
