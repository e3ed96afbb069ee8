"""The Python client of the scheduler."""

from heddle.client.client import ENDED_RUN, HeddleClient
from heddle.client.rpc_caller import ServerUnreachable

__all__ = ["ENDED_RUN", "HeddleClient", "ServerUnreachable"]
