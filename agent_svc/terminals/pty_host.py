"""Runs a shell on a pseudoterminal, inside the sandbox. Standard library only: it starts without any folder of ours.

Standard input has frames: a kind, `d` for typed bytes or `s` for a size (columns and rows, two bytes each), four
bytes with the length, and the content. Standard output is what the terminal shows. Its end of input ends the shell.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios

# Bytes of typed input that wait for a shell that does not read; above it, no more frames are read.
MOST_WAITING = 64 << 10

_READ = 32 << 10
_HEAD = struct.Struct(">cI")
_SIZE = struct.Struct(">HH")

# Seconds that the shell gets to end after a hangup.
_HANGUP = 0.5


def frame(kind: bytes, content: bytes) -> bytes:
    """Returns a frame of standard input."""
    return _HEAD.pack(kind, len(content)) + content


def size_frame(columns: int, rows: int) -> bytes:
    """Returns the frame that sets the size of the terminal."""
    return frame(b"s", _SIZE.pack(columns, rows))


def main(command: list[str]) -> int:
    """Runs `command` until it exits or standard input ends; returns its exit code as a shell does."""
    child, master = pty.fork()
    if child == 0:
        try:
            os.execvp(command[0], command)  # noqa: S606 (it is the shell, and no word of it is typed by anyone)
        except OSError as error:
            os.write(2, f"{command[0]}: {error.strerror}\r\n".encode())
        os._exit(127)
    try:
        _relay(master)
    finally:
        # Closing the terminal hangs up on its foreground processes.
        os.close(master)
    return _ended(child)


def _relay(master: int) -> None:
    frames, waiting = b"", b""
    while True:
        readable, writable, _ = select.select(
            [master, *([0] if len(waiting) < MOST_WAITING else [])], [master] if waiting else [], []
        )
        if master in readable:
            try:
                shown = os.read(master, _READ)
            except OSError:
                # Linux reports the end of the last process on the terminal as an error.
                return
            if not shown:
                return
            _write_all(shown)
        if 0 in readable:
            more = os.read(0, _READ)
            if not more:
                return
            frames, typed = _take(frames + more, master)
            waiting += typed
        if master in writable:
            # At most what the terminal's line buffer takes, so it does not block for long.
            waiting = waiting[os.write(master, waiting[:1024]) :]


def _take(frames: bytes, master: int) -> tuple[bytes, bytes]:
    """Applies the complete frames; returns the rest, and what was typed."""
    typed = b""
    while len(frames) >= _HEAD.size:
        kind, length = _HEAD.unpack_from(frames)
        end = _HEAD.size + length
        if len(frames) < end:
            break
        content, frames = frames[_HEAD.size : end], frames[end:]
        if kind == b"s":
            columns, rows = _SIZE.unpack(content)
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        else:
            typed += content
    return frames, typed


def _write_all(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def _ended(child: int) -> int:
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, _HANGUP)
    _, status = os.waitpid(child, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
