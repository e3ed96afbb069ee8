import time
from pathlib import Path

import pytest

from heddle import errors, failpoints, pb
from heddle.files.fencing import FILES, REPAIR, EpochFence, ceiling, implausible, write
from tests.support.disk import Disk
from worktree_svc.storage.epoch_fence import fence


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


def test_a_new_fence_accepts_every_epoch(tmp_path: Path) -> None:
    """Without a file, the first epoch may be any number from 0; its folder is made with its parents."""
    path = tmp_path / "state" / "worktrees" / "epoch"
    EpochFence(path).check(0)
    assert not path.exists()
    EpochFence(path).check(1)
    assert path.read_text() == "1"
    with pytest.raises(errors.HeddleError):
        EpochFence(path).check(0)


def test_an_epoch_that_is_known_is_not_written_again(tmp_path: Path) -> None:
    """The calls of one leader write the file once."""
    path = tmp_path / "epoch"
    epochs = EpochFence(path)
    epochs.check(2)
    written = path.stat()
    epochs.check(2)
    assert path.stat() == written
    epochs.check(3)
    assert path.read_text() == "3"


def test_a_crash_around_the_sync_loses_no_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failpoints are where the file's text is complete but not yet synced, and after the epoch is stored."""
    seen = {}

    def note(name: str) -> None:
        file = tmp_path / ("epoch.new" if name == "fence.before_sync" else "epoch")
        seen[name] = file.read_text()

    monkeypatch.setattr("heddle.files.fencing.failpoint", note)
    EpochFence(tmp_path / "epoch").check(5)
    assert seen == {"fence.before_sync": "5", "fence.after_sync": "5"}
    assert seen.keys() <= set(failpoints.NAMES)


def test_the_fence_of_the_worktree_service_refuses_like_its_file(tmp_path: Path) -> None:
    """Calls in threads share one fence: a lower epoch than any earlier one is refused."""
    check = fence(tmp_path / "epoch")
    check(3)
    check(3)
    with pytest.raises(errors.HeddleError) as caught:
        check(2)
    assert caught.value.reason == pb.ERROR_REASON_STALE_EPOCH
