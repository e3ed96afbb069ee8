"""Guards of servers whose callers a test does not distinguish."""

from typing import Any

import grpc

from heddle.identity.principals import Principal, Role


class KnownCaller:
    """Identifies every caller as `principal`."""

    takes_tokens = True

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    async def identify(self, context: grpc.aio.ServicerContext[Any, Any]) -> Principal:
        return self.principal


ADA = KnownCaller(Principal("user:ada", Role.ADMIN))

# For services of both sides in one test.
ANYTHING = KnownCaller(Principal("scheduler", Role.SCHEDULER))
