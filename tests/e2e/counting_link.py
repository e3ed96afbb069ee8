"""A TCP link that counts what a server sends through it, as a browser's line would carry it."""

import socket
import threading
from contextlib import closing, suppress
from typing import Final, Self

_AT_ONCE: Final = 1 << 16


class CountingLink:
    """Forwards bytes between a loopback port of its own and `target`, host:port, until the end of a `with` block."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._received = bytearray()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    @property
    def received(self) -> bytes:
        """All that the server has sent until now, over all connections."""
        with self._lock:
            return bytes(self._received)

    def _accept(self) -> None:
        # The listener is closed at the end.
        with suppress(OSError):
            while True:
                browser, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                threading.Thread(target=self._pump, args=(browser, server, False), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, browser, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with suppress(OSError), closing(sink):
            while data := source.recv(_AT_ONCE):
                if counted:
                    with self._lock:
                        self._received += data
                sink.sendall(data)
