"""A process's input is written and its output is read until it ends."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from worktree_svc.git.process.processes import Process, communicate, end

# More than the buffer of a pipe.
LONG = b"0123456789abcdef" * 100_000

# Seconds; no test here takes that long.
LIMIT = 60.0


@pytest.fixture
def begin() -> Iterator[Callable[[str], Process]]:
    """Starts a shell command with pipes; ends it and its process group at the end."""
    with ExitStack() as started:

        def start(command: str) -> Process:
            process = subprocess.Popen(
                ["sh", "-c", command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
            started.callback(end, process)
            return process

        yield start


def test_long_input_and_output_pass_each_other(begin: Callable[[str], Process]) -> None:
    """A process that writes while it reads gets its whole input, and both of its outputs are read completely."""
    process = begin("tee /dev/stderr")
    assert communicate(process, LONG, LIMIT) == (LONG, LONG)
    assert process.returncode == 0


def test_a_process_that_does_not_read_is_not_waited_for(begin: Callable[[str], Process]) -> None:
    """Unread input is not an error; the exit code decides."""
    process = begin("echo no >&2; exit 3")
    assert communicate(process, LONG, LIMIT) == (b"", b"no\n")
    assert process.returncode == 3


@pytest.mark.parametrize("command", ["exec sleep 600", "exec >&- 2>&-; exec sleep 600"])
def test_a_process_that_does_not_end_in_time_is_not_ended(
    begin: Callable[[str], Process], command: str
) -> None:
    """A timeout applies also to a process that has closed its outputs; it runs until the caller ends it."""
    process = begin(command)
    with pytest.raises(subprocess.TimeoutExpired):
        communicate(process, b"", 0.2)
    assert process.poll() is None


def test_without_a_bell_the_end_is_looked_for(
    begin: Callable[[str], Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without process descriptors of the system, the result is the same."""
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    process = begin("cat; kill -TERM $$")
    assert communicate(process, b"word", LIMIT) == (b"word", b"")
    assert process.returncode == -signal.SIGTERM
