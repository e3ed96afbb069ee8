from pathlib import Path

import pytest

from heddle import sockets


def test_a_socket_is_in_the_data_folder() -> None:
    """The path that operators see names the data folder and the service."""
    assert sockets.address(Path("/home/ada/.heddle"), "agent") == "unix:/home/ada/.heddle/run/agent.sock"


@pytest.mark.parametrize(
    ("length", "is_short"), [(sockets.MAX_PATH_BYTES, False), (sockets.MAX_PATH_BYTES + 1, True)]
)
def test_a_path_that_is_too_long_for_a_socket_is_replaced(length: int, is_short: bool) -> None:
    """At the limit of the system the socket stays in the data folder; one byte more, and it moves to a short path."""
    home = Path(
        "/" + "é" * ((length - len("//run/agent.sock")) // 2) + "x" * ((length - len("//run/agent.sock")) % 2)
    )
    assert len(str(home / "run" / "agent.sock").encode()) == length
    path = sockets.address(home, "agent").removeprefix("unix:")
    assert len(path.encode()) <= sockets.MAX_PATH_BYTES
    assert path.startswith(f"{home}/") is not is_short


def test_two_data_folders_with_long_paths_have_different_sockets() -> None:
    """The short path differs for each data folder and is the same each time."""
    one, other = (sockets.address(Path(f"/{'x' * 200}/{name}"), "agent") for name in "ab")
    assert one != other
    assert one == sockets.address(Path(f"/{'x' * 200}/a"), "agent")


def test_the_folder_of_a_socket_is_private(tmp_path: Path) -> None:
    """Others cannot enter the folder, also if it existed with more permissions."""
    folder = tmp_path / "run"
    folder.mkdir(mode=0o755)
    sockets.prepare(f"unix:{folder}/agent.sock")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A socket is never created where another user made its folder point."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to("elsewhere")
    with pytest.raises(PermissionError, match="not a folder of this user"):
        sockets.prepare(f"unix:{tmp_path}/run/agent.sock")
