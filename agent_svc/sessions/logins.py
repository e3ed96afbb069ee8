"""Keeps the logins of sessions valid: renews those of the user, and copies them to the sessions that use them."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog

from agent_svc.sandbox.own_folder import Credential
from agent_svc.sandbox.private_folders import PrivateFolder
from heddle.timing import running_time
from heddle.timing.clock import Clock, utc_now

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds before its end in which a login is renewed. Agents renew earlier, so that their command does it.
MARGIN: Final = 240.0
# Seconds between two looks, between two tries to renew a login, and for one of them.
EVERY: Final = 30.0
AGAIN: Final = 600.0
PATIENCE: Final = 120.0


class Logins:
    """The logins of this worker's user. One command at a time renews them.

    `trusted` is the environment of such a command. It contains nothing of a plan or a repository, because the
    command runs outside of the sandbox.
    """

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._renewing = asyncio.Lock()
        # By file: when a command last tried to renew it, in seconds since 1970.
        self._tried: dict[str, float] = {}

    async def keep(self, folders: Sequence[PrivateFolder], trusted: Mapping[str, str]) -> None:
        """Renews expiring logins and updates the copies of a session, until it is cancelled."""
        while any(folder.kind.credentials for folder in folders):
            await running_time.sleep(EVERY)
            await self.refresh(folders, trusted)

    async def refresh(self, folders: Sequence[PrivateFolder], trusted: Mapping[str, str]) -> None:
        """Renews expiring logins once and updates the copies of a session."""
        for folder in folders:
            for login in folder.kind.credentials:
                await self._renew(folder, login, trusted)
            with suppress(OSError):  # the session has ended, or an agent has replaced its copy
                await asyncio.to_thread(folder.hand_over_logins)

    async def _renew(self, folder: PrivateFolder, login: Credential, trusted: Mapping[str, str]) -> None:
        own = folder.kind.path(trusted)
        if own is None or own.resolve() != folder.path or any(trusted.get(name) for name in login.unless):
            return
        async with self._renewing:
            content = await asyncio.to_thread(login.read, folder.path)
            expires = login.expires(content) if content is not None else None
            now, file = self._clock().timestamp(), str(folder.path / login.name)
            if expires is None or now < expires - MARGIN or now < self._tried.get(file, 0) + AGAIN:
                return
            command = login.renew()
            if command:
                self._tried[file] = now
                log.info("login_expires", file=file, command=command[0])
                if why := await _run(command, trusted):
                    log.warning("login_not_renewed", file=file, reason=why)


async def _run(command: Sequence[str], trusted: Mapping[str, str]) -> str:
    """Runs a command in an empty folder; returns why it failed, or an empty string."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env={**trusted, "TMPDIR": folder},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            return str(error)
        try:
            code = await asyncio.wait_for(process.wait(), PATIENCE)
        except TimeoutError:
            return f"no end within {PATIENCE:g} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return "" if code == 0 else f"exit code {code}"
