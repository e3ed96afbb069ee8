"""Follows the files of TLS, which others replace while a process runs."""

from pathlib import Path

from heddle.config import Tls, check_pem_files


class TlsFiles:
    """The files of one side of TLS, and the state in which they were last used."""

    def __init__(self, tls: Tls) -> None:
        self.tls = tls
        self._seen = self._state()
        # What was logged last.
        self._problem = ""

    def renewed(self) -> bool:
        """Returns, once, whether the files were replaced and can be used; False while they do not match yet."""
        import structlog  # noqa: PLC0415 (takes a third of the time in which a command starts, and commands log nothing)

        log: structlog.stdlib.BoundLogger = structlog.get_logger()
        try:
            state = self._state()
            if state == self._seen:
                return False
            check_pem_files(self.tls)
        except (OSError, ValueError) as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.warning("certificates_not_usable", error=self._problem)
            return False
        self._seen, self._problem = state, ""
        log.info("certificates_reloaded", certificate=str(self.tls.certificate))
        return True

    def _state(self) -> list[tuple[int, int, int]]:
        files = (self.tls.certificate, self.tls.key, self.tls.authority)
        return [(status.st_mtime_ns, status.st_size, status.st_ino) for status in map(Path.stat, files)]
