"""Guards of servers whose callers a test does not distinguish."""

from typing import Any

import grpc

from heddle import pb
from heddle.errors import HeddleError
from heddle.identity.principals import SCHEDULER, Call, Principal


class KnownCaller:
    """Identifies every caller as `principal`."""

    takes_tokens = True

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    async def identify(self, context: grpc.aio.ServicerContext[Any, Any]) -> Principal:
        return self.principal

    async def check_scope(self, call: Call, request: Any) -> None:
        """Every request is allowed."""

    async def note_refusal(self, call: Call, request: Any, error: HeddleError) -> None:
        """Nothing is recorded."""


ADA = KnownCaller(Principal("user:ada", pb.ROLE_ADMIN))
ANYTHING = KnownCaller(SCHEDULER)
