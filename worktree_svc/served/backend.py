"""Runs git's own HTTP backend, a CGI program, for one request, and passes its answer on while it comes."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from worktree_svc.git.process import inherited_files, remote_access
from worktree_svc.git.process.command import LONGEST_SECONDS, Git

# Bytes of its answer that are passed on at once.
_PART: Final = 64 << 10

# Seconds that git gets to end.
_GRACE: Final = 3.0

# Sends the status and headers of an answer, and a part of its body.
Begin = Callable[[int, Sequence[tuple[bytes, bytes]]], Awaitable[None]]
Body = Callable[[bytes], Awaitable[None]]


class BackendError(Exception):
    """The backend gave no answer."""


async def run(
    git: Git,
    request: Mapping[str, str],
    settings: Sequence[tuple[str, str]],
    body: AsyncIterator[bytes],
    *,
    begin: Begin,
    write: Body,
) -> None:
    """Answers one request with the repository of `git`; raises BackendError if `begin` was not called.

    `request` has the variables of CGI, and `settings` those of git for this request.
    """
    variables = {
        "GIT_PROJECT_ROOT": str(git.git_dir),
        **remote_access.config_variables(settings),
        **request,
    }
    process = await asyncio.create_subprocess_exec(
        *("git", "http-backend"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**git.environment(), **{key.encode(): os.fsencode(value) for key, value in variables.items()}},
        pass_fds=inherited_files.shared(),
        start_new_session=True,
    )
    assert process.stdin  # noqa: S101 (a pipe)
    assert process.stdout  # noqa: S101 (a pipe)
    feeding = asyncio.create_task(_feed(process.stdin, body))
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            await begin(*await _head(process.stdout))
            while part := await process.stdout.read(_PART):
                await write(part)
            await process.wait()
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, _end(process), return_exceptions=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends git, if it still runs, with its children, which are in the same group."""
    # On SIGTERM, git removes the locks of refs that it holds.
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(TimeoutError, ProcessLookupError):
            os.killpg(process.pid, number)
            await asyncio.wait_for(process.wait(), _GRACE)


async def _feed(stdin: asyncio.StreamWriter, body: AsyncIterator[bytes]) -> None:
    with suppress(ConnectionError):  # git needs no more
        async for part in body:
            stdin.write(part)
            await stdin.drain()
    stdin.close()


async def _head(stdout: asyncio.StreamReader) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Returns the status and the headers of the answer."""
    try:
        head = await stdout.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise BackendError(
            "git http-backend gave no answer; is it installed with git on this worker?"
        ) from error
    status, headers = 200, []
    for line in head.decode(errors="replace").splitlines():
        name, _, value = line.partition(": ")
        if name.lower() == "status":
            status = int(value.split()[0])
        elif name:
            headers.append((name.lower().encode(), value.encode()))
    return status, headers
