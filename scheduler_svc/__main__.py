"""Entry point of the scheduler process: python -m scheduler_svc."""

import asyncio
import sys

from heddle import logs
from heddle.config import DEFAULT_PORT, ConfigError, Settings
from heddle.rpc import service_process
from heddle.rpc.serving import AddressInUseError, serve
from scheduler_svc.app import build


def main() -> int:
    """Serves until the process receives a signal; returns the exit code."""
    try:
        settings = Settings.read()
        logs.configure(settings, "scheduler")
        service_process.protect(settings)
        address = settings.listen or f"127.0.0.1:{DEFAULT_PORT}"
        asyncio.run(serve(build(settings).service(), address, settings.tls, metrics=settings.metrics))
    except (ConfigError, AddressInUseError) as error:
        print(error, file=sys.stderr)  # noqa: T201 (for whoever started this process)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
