"""Limits of the shared code at their value and one beyond."""

import os
from pathlib import Path

import pytest

from heddle import operator_queue, pb, sockets
from heddle.errors import HeddleError
from heddle.files import beneath
from heddle.identity.guard import _named
from heddle.rpc.call_limits import CallLimits


def test_number_of_open_streams() -> None:
    """Without another setting, a caller has at most 500 open streams."""
    limits = CallLimits()
    for _ in range(500):
        limits.open_stream("eve")
    with pytest.raises(HeddleError, match="already has 500 open streams"):
        limits.open_stream("eve")


@pytest.mark.parametrize(("length", "stays"), [(103, True), (104, False)])
def test_length_of_the_path_of_a_socket(length: int, stays: bool) -> None:
    """A socket has a path of 103 bytes at most, as on macOS."""
    home = Path("/" + "x" * (length - len("//run/agent.sock")))
    assert len(os.fsencode(home / "run" / "agent.sock")) == length
    assert sockets.address(home, "agent").startswith(f"unix:{home}/") == stays


@pytest.mark.parametrize(("depth", "found"), [(100, True), (101, False)])
def test_depth_of_a_walk(tmp_path: Path, depth: int, found: bool) -> None:
    """Files in up to 100 nested folders are found."""
    deep = tmp_path.joinpath(*["d"] * depth)
    deep.mkdir(parents=True)
    (deep / "file").touch()
    expected = ["d/" * depth + "file"] if found else []
    assert [path for path, _ in beneath.walk(tmp_path, lambda _: False)] == expected


@pytest.mark.parametrize(("age", "recent"), [(24 * 3600 - 1, True), (24 * 3600, False)])
def test_how_long_an_ended_run_needs_attention(age: int, recent: bool) -> None:
    """A run is recent for 24 hours after its end; one that was cancelled never is."""
    now = 1_800_000_000.0
    run = pb.Run(state=pb.RUN_STATE_FAILED)
    assert operator_queue.is_recent(run, now)
    run.end_time.seconds = int(now) - age
    assert operator_queue.is_recent(run, now) == recent
    run.state = pb.RUN_STATE_CANCELLED
    assert not operator_queue.is_recent(run, now)


@pytest.mark.parametrize(("size", "recorded"), [(4 << 10, True), ((4 << 10) + 1, False)])
def test_size_of_a_refused_request_that_is_read(size: int, recorded: bool) -> None:
    """A refused request of up to 4 KiB is parsed to record what it was about; a larger or malformed one is not."""
    name = "x" * (size - 3)
    request = pb.GetRunRequest(name=name).SerializeToString()
    assert len(request) == size
    named = _named(request, pb.GetRunRequest.FromString)
    assert (named.name == name) if recorded else (named is None)
    assert _named(request[:-1], pb.GetRunRequest.FromString) is None
