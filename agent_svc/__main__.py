"""Serves agent_svc: python -m agent_svc. Settings come from the environment."""

import asyncio
import os
import sys

# Must be set before grpc is imported: grpc's fork handlers have deadlocked programs that start child processes.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

from agent_svc.app import build
from agent_svc.processes.supervised import become_subreaper
from heddle import logs, sockets
from heddle.config import ConfigError, Settings
from heddle.rpc import service_process
from heddle.rpc.serving import AddressInUseError, serve


def main() -> int:
    """Serves until a signal arrives and returns the exit code, which is 2 if the service could not start."""
    try:
        settings = Settings.read()
        logs.configure(settings, "agent")
        service_process.protect(settings)
        become_subreaper()
        asyncio.run(serve_with(settings))
    except (ConfigError, AddressInUseError) as error:
        print(f"agent_svc: {error}", file=sys.stderr)  # noqa: T201 (logging may not be set up yet)
        return 2
    return 0


async def serve_with(settings: Settings) -> None:
    """Builds the service and serves it."""
    address = settings.listen or sockets.address(settings.home, "agent")
    await serve(build(settings), address, settings.tls, metrics=settings.metrics)


if __name__ == "__main__":
    sys.exit(main())
