from pathlib import Path

import pytest

from heddle import errors, pb
from heddle.fencing import EpochFence


def test_a_lower_epoch_is_refused_and_an_equal_one_is_not(tmp_path: Path) -> None:
    """Only the newest leader that was seen may change anything."""
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
