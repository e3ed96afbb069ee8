"""Runs a shell command of the scripted agent and streams its output."""

import os
import selectors
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent_svc.text import TextStream, tail
from heddle import pb

# The maximum size of a tool result in a session.
MAX_RESULT_BYTES: Final = 64 << 10


def run_command(command: str, folder: Path, call: str, send: Callable[[pb.Event], None]) -> tuple[int, str]:
    """Runs `command` in `folder`; returns its exit code and the last part of its output."""
    kept = bytearray()
    with (
        subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
        selectors.DefaultSelector() as selector,
    ):
        for pipe, kind in (
            (process.stdout, pb.OUTPUT_STREAM_STDOUT),
            (process.stderr, pb.OUTPUT_STREAM_STDERR),
        ):
            assert pipe is not None  # noqa: S101 (both are pipes)
            selector.register(pipe, selectors.EVENT_READ, TextStream(kind, call))
        while selector.get_map():
            for key, _ in selector.select():
                data = os.read(key.fd, 64 << 10)
                for event in key.data.feed(data, final=not data):
                    send(event)
                kept = (kept + data)[-MAX_RESULT_BYTES:]
                if not data:
                    selector.unregister(key.fileobj)
    return process.returncode, tail(bytes(kept), MAX_RESULT_BYTES)
