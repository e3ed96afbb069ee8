"""Each limit of a project file: what is exactly at it is valid, and one more is not."""

from collections.abc import Callable

import pytest

from heddle import pb
from heddle.project.rules import violations


def found(file: pb.ProjectFile) -> set[str]:
    return {each.field for each in violations(file)}


def sized(size: int) -> pb.ProjectFile:
    """Returns a file of exactly `size` bytes."""
    file = pb.ProjectFile(setup=["x"])
    while (missing := size - file.ByteSize()) > 0:
        file.setup[0] += "x" * max(1, missing - 10)
    assert file.ByteSize() == size
    return file


@pytest.mark.parametrize(
    ("field", "limit", "file"),
    [
        ("", 64 << 10, sized),
        ("setup", 100, lambda n: pb.ProjectFile(setup=["true"] * n)),
        ("teardown", 100, lambda n: pb.ProjectFile(teardown=["true"] * n)),
        ("copy", 100, lambda n: pb.ProjectFile(copy=[f"f{number}" for number in range(n)])),
        (
            "link",
            100,
            lambda n: pb.ProjectFile(link=[pb.LinkedFolder(path=f"f{number}") for number in range(n)]),
        ),
        ("ports", 100, lambda n: pb.ProjectFile(ports=n)),
        ("env", 200, lambda n: pb.ProjectFile(env={f"V{number}": "x" for number in range(n)})),
        ("env.V", 32 << 10, lambda n: pb.ProjectFile(env={"V": "ä" * (n // 2) + "x" * (n % 2)})),
        ("allow_files", 20, lambda n: pb.ProjectFile(allow_files=["x"] * n)),
    ],
)
def test_upper_limits(field: str, limit: int, file: Callable[[int], pb.ProjectFile]) -> None:
    """A value at its limit is valid; with one more, exactly this field is refused."""
    assert found(file(limit)) == set()
    assert found(file(limit + 1)) == {field}


def test_ports_may_be_none_but_not_negative() -> None:
    """No ports are valid; a negative number is refused."""
    assert found(pb.ProjectFile(ports=0)) == set()
    assert found(pb.ProjectFile(ports=-1)) == {"ports"}


def test_entries_beyond_a_limit_are_not_judged() -> None:
    """Of a list that is too long, the entries up to the limit are judged, and no others."""
    commands = ["true"] * 99 + ["", ""]
    assert [each.field for each in violations(pb.ProjectFile(setup=commands))] == ["setup", "setup[99]"]
    paths = [f"f{number}" for number in range(99)] + ["/a", "/b"]
    assert [each.field for each in violations(pb.ProjectFile(copy=paths))] == ["copy", "copy[99]"]
