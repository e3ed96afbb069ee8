"""Serves worktree_svc: `python -m worktree_svc`. Settings come from the environment."""

import asyncio
import os
import sys

from heddle import logs, sockets
from heddle.config import ConfigError, Settings
from heddle.rpc import service_process
from heddle.rpc.serving import AddressInUseError, serve
from worktree_svc.app import build
from worktree_svc.git.process.environment import forget_inherited
from worktree_svc.git.version import GitVersionError
from worktree_svc.projects.locks import HomeInUseError


def main() -> int:
    """Serves until a signal arrives; returns the exit code, which is 2 if the service could not start."""
    forget_inherited(os.environ)
    try:
        settings = Settings.read()
        logs.configure(settings, "worktree")
        service_process.protect(settings, private_files=False)
        asyncio.run(serve_with(settings))
    except (ConfigError, AddressInUseError, GitVersionError, HomeInUseError) as error:
        print(f"worktree_svc: {error}", file=sys.stderr)  # noqa: T201 (logging may not be set up yet)
        return 2
    return 0


async def serve_with(settings: Settings) -> None:
    """Builds the service and serves it."""
    address = settings.listen or sockets.address(settings.home, "worktree")
    await serve(build(settings), address, settings.tls, metrics=settings.metrics)


if __name__ == "__main__":
    sys.exit(main())
