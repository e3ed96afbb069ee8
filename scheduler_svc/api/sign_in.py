"""Identifies the callers of the scheduler by their tokens."""

import getpass
import hmac
from collections.abc import Mapping
from typing import Any, Final

import grpc

from heddle import pb
from heddle.config import Settings
from heddle.errors import HeddleError
from heddle.identity import token_file
from heddle.identity.principals import Principal, Role

Context = grpc.aio.ServicerContext[Any, Any]

_SCHEME: Final = "Bearer "


class SignIn:
    """The guard of the scheduler. `tokens` has the principal of each token."""

    takes_tokens = True

    def __init__(self, tokens: Mapping[str, Principal]) -> None:
        self._tokens = {token.encode(): principal for token, principal in tokens.items()}

    async def identify(self, context: Context) -> Principal:
        """Returns the owner of the call's bearer token; raises UNAUTHENTICATED if there is none."""
        header = dict(context.invocation_metadata() or ()).get("authorization", "")
        token = str(header).removeprefix(_SCHEME).encode()
        for known, principal in self._tokens.items():
            if hmac.compare_digest(known, token):
                return principal
        if not header:
            raise _refused(
                "this call has no token; send `authorization: Bearer TOKEN` (`heddle token` prints yours)"
            )
        raise _refused("the token of this call is not valid; `heddle token` prints that of this data folder")


def sign_in(settings: Settings) -> SignIn:
    """Returns the guard for the tokens of the data folder, which are created if needed."""
    operator = settings.token or token_file.ensure(token_file.operator_file(settings.home))
    return SignIn(
        {
            operator: Principal(_operator(), Role.ADMIN),
            token_file.ensure(token_file.web_file(settings.home)): Principal("user:web", Role.OPERATOR),
        }
    )


def _operator() -> str:
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):
        # A container may run as a user without a passwd entry.
        return "user"


def _refused(message: str) -> HeddleError:
    return HeddleError(pb.ERROR_REASON_UNAUTHENTICATED, message)
