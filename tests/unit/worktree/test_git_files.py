"""How the objects of a commit reach the disk."""

from pathlib import Path

import pytest

from tests.support.disk import Disk
from worktree_svc.git.process import quarantine


def test_objects_are_on_disk_before_one_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All objects are synced before the first is moved; the index of a pack is moved after the pack."""
    made, objects = tmp_path / "made", tmp_path / "objects"
    objects.mkdir()
    names = ["ab/1", "cd/2", "pack/pack-1.idx", "pack/pack-1.pack", "pack/pack-1.rev", "info/packs"]
    for name in names:
        (path := made / name).parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o750)
        path.write_text(name)
    disk = Disk(monkeypatch, tmp_path)
    quarantine.migrate(made, objects)
    visible = names[:-1]
    assert sorted(disk.done[:5]) == [f"sync made/{name}" for name in visible]
    assert sorted(disk.done[5:]) == [f"rename objects/{name}" for name in visible]
    assert disk.done[-1] == "rename objects/pack/pack-1.idx"
    found = {str(path.relative_to(objects)): path.read_text() for path in objects.glob("*/*")}
    assert found == {name: name for name in visible}
    assert (objects / "ab").stat().st_mode & 0o777 == 0o750


def test_no_object_is_visible_if_one_is_not_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk refuses one object, none is moved."""
    made, objects = tmp_path / "made", tmp_path / "objects"
    objects.mkdir()
    for name in ("ab/1", "cd/2"):
        (path := made / name).parent.mkdir(parents=True)
        path.touch()
    calls = iter([False, True])

    def refuse(_: int) -> None:
        if next(calls):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="Input/output"):
        quarantine.migrate(made, objects)
    assert list(objects.iterdir()) == []
