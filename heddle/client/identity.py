"""The calls of the client about callers, tokens and the audit log."""

from typing import TYPE_CHECKING

from heddle import pb
from heddle.client.rpc_caller import Caller

if TYPE_CHECKING:
    # Exists only in the stub file.
    from heddle.v1.identity_service_pb2_grpc import IdentityServiceAsyncStub


class IdentityCalls:
    """Part of HeddleClient."""

    _caller: Caller
    _identity: "IdentityServiceAsyncStub"

    async def get_caller(self) -> pb.GetCallerResponse:
        """Returns who this client is to the scheduler."""
        return await self._caller.call(self._identity.GetCaller, pb.GetCallerRequest())

    async def get_preferences(self) -> pb.Preferences:
        """Returns what the owner of this client's token has chosen for the web app."""
        answer = await self._caller.call(self._identity.GetPreferences, pb.GetPreferencesRequest())
        return answer.preferences

    async def update_preferences(self, preferences: pb.Preferences) -> pb.Preferences:
        """Replaces the preferences of the owner of this client's token."""
        request = pb.UpdatePreferencesRequest(preferences=preferences)
        return (await self._caller.call(self._identity.UpdatePreferences, request)).preferences

    async def create_token(self, request: pb.CreateTokenRequest) -> pb.CreateTokenResponse:
        """Creates a token; only this response has its secret."""
        return await self._caller.call(self._identity.CreateToken, request)

    async def list_tokens(self) -> list[pb.Token]:
        """Returns the valid tokens and sessions of browsers, the newest first."""
        return list((await self._caller.call(self._identity.ListTokens, pb.ListTokensRequest())).tokens)

    async def revoke_token(self, name: str) -> None:
        """Ends a token or a browser's session."""
        await self._caller.call(self._identity.RevokeToken, pb.RevokeTokenRequest(name=name))

    async def create_sign_in_code(self) -> pb.CreateSignInCodeResponse:
        """Returns a code with which one browser can sign in once as the owner of this client's token."""
        return await self._caller.call(self._identity.CreateSignInCode, pb.CreateSignInCodeRequest())

    async def sign_in(self, code: str) -> pb.SignInResponse:
        """Exchanges a code for the token of a browser's session; only the web app may do so."""
        return await self._caller.call(self._identity.SignIn, pb.SignInRequest(code=code))

    async def sign_out(self) -> None:
        """Revokes the token of this client."""
        await self._caller.call(self._identity.SignOut, pb.SignOutRequest())

    async def list_audit_entries(
        self, *, before: int = 0, user: str = "", page_size: int = 0
    ) -> list[pb.AuditEntry]:
        """Returns changes and refusals, the newest first; those below the sequence `before` if it is not 0."""
        request = pb.ListAuditEntriesRequest(before_sequence=before, user=user, page_size=page_size)
        return list((await self._caller.call(self._identity.ListAuditEntries, request)).entries)
