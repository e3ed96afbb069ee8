"""Implements IdentityService: tokens, sign-ins of browsers, and the audit log."""

import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import grpc

from heddle import pb
from heddle.errors import HeddleError, invalid_field, not_found
from heddle.identity.principals import Principal, caller, current_call
from heddle.identity.token_file import new_token
from heddle.names import KEY
from heddle.v1.identity_service_pb2_grpc import IdentityServiceServicer
from scheduler_svc.store.db.database import Connection, Database
from scheduler_svc.store.queries.page_tokens import page_size
from scheduler_svc.store.rows.callers import audit, preferences, tokens
from scheduler_svc.store.rows.callers.tokens import NewToken, TokenKind

Context = grpc.aio.ServicerContext[Any, Any]

_MICROS: Final = 1_000_000
_DAY: Final = 24 * 3600 * _MICROS

# Lifetimes in microseconds.
_OF_TOKEN: Final = 90 * _DAY
_LONGEST: Final = 366 * _DAY
_OF_SESSION: Final = 14 * _DAY
_OF_CODE: Final = 600 * _MICROS

# Characters of a preference.
_LONGEST_CHOICE: Final = 200

# Codes of one user that no browser has used yet. A new one replaces the oldest.
_CODES: Final = 20

_USER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class IdentityServicer(IdentityServiceServicer):
    """The identities of one replica. `forget` makes it look up each token again."""

    def __init__(self, database: Database, now: Callable[[], int], forget: Callable[[], None]) -> None:
        self._database = database
        self._now = now
        self._forget = forget

    async def GetCaller(self, request: pb.GetCallerRequest, context: Context) -> pb.GetCallerResponse:
        principal = caller()
        return pb.GetCallerResponse(user=principal.name, role=principal.role, projects=principal.projects)

    async def GetPreferences(
        self, request: pb.GetPreferencesRequest, context: Context
    ) -> pb.GetPreferencesResponse:
        found = await self._database.read(partial(preferences.read, user=caller().name))
        return pb.GetPreferencesResponse(preferences=found)

    async def UpdatePreferences(
        self, request: pb.UpdatePreferencesRequest, context: Context
    ) -> pb.UpdatePreferencesResponse:
        chosen = request.preferences
        for field in ("agent", "editor"):
            if len(getattr(chosen, field)) > _LONGEST_CHOICE:
                raise invalid_field(f"preferences.{field}", f"must have at most {_LONGEST_CHOICE} characters")
        call, now = current_call(), self._now()

        def write(connection: Connection) -> None:
            preferences.replace(connection, call.principal.name, chosen)
            audit.record(connection, call, call.principal.name, "", now)

        await self._database.submit(write)
        return pb.UpdatePreferencesResponse(preferences=chosen)

    async def CreateToken(self, request: pb.CreateTokenRequest, context: Context) -> pb.CreateTokenResponse:
        lifetime = request.lifetime.ToMicroseconds() if request.HasField("lifetime") else _OF_TOKEN
        if not 0 < lifetime <= _LONGEST:
            raise invalid_field("lifetime", "must be more than 0 and at most 366 days")
        if request.user and not _USER.fullmatch(request.user):
            raise invalid_field(
                "user",
                "must consist of 1 to 64 letters, digits and -_.@, and begin with one of the first two",
            )
        if request.worker:
            if not KEY.fullmatch(request.worker):
                raise invalid_field("worker", "must be the name of a worker: letters, digits, - and _")
            owner = Principal(f"worker/{request.worker}")
            token, secret = await self._create(TokenKind.WORKER, owner, request.title, lifetime)
            return pb.CreateTokenResponse(token=token, secret=secret)
        role = request.role or pb.ROLE_OPERATOR
        if role not in {pb.ROLE_VIEWER, pb.ROLE_OPERATOR, pb.ROLE_ADMIN}:
            raise invalid_field("role", "must be ROLE_VIEWER, ROLE_OPERATOR or ROLE_ADMIN")
        if role == pb.ROLE_ADMIN and request.projects:
            raise invalid_field("projects", "cannot limit an admin, who creates tokens for all projects")
        owner = Principal(
            f"user:{request.user}" if request.user else caller().name, role, projects=tuple(request.projects)
        )
        token, secret = await self._create(TokenKind.TOKEN, owner, request.title, lifetime)
        return pb.CreateTokenResponse(token=token, secret=secret)

    async def ListTokens(self, request: pb.ListTokensRequest, context: Context) -> pb.ListTokensResponse:
        return pb.ListTokensResponse(
            tokens=await self._database.read(partial(tokens.listed, now=self._now()))
        )

    async def RevokeToken(self, request: pb.RevokeTokenRequest, context: Context) -> pb.RevokeTokenResponse:
        kind, _, token = request.name.partition("/")
        if kind != "tokens" or not token:
            raise not_found(request.name)
        await self._revoke(token)
        return pb.RevokeTokenResponse()

    async def CreateSignInCode(
        self, request: pb.CreateSignInCodeRequest, context: Context
    ) -> pb.CreateSignInCodeResponse:
        token, code = await self._create(TokenKind.CODE, caller(), "", _OF_CODE)
        return pb.CreateSignInCodeResponse(code=code, expire_time=token.expire_time)

    async def SignIn(self, request: pb.SignInRequest, context: Context) -> pb.SignInResponse:
        owner = await self._database.submit(partial(tokens.redeem, code=request.code, now=self._now()))
        if owner is None:
            raise HeddleError(
                pb.ERROR_REASON_UNAUTHENTICATED,
                "this link is unknown, was used, or is older than 10 minutes; `heddle open` makes a new one",
            )
        token, secret = await self._create(TokenKind.SESSION, owner, "web browser", _OF_SESSION)
        return pb.SignInResponse(
            token=secret, user=token.user, role=token.role, expire_time=token.expire_time
        )

    async def SignOut(self, request: pb.SignOutRequest, context: Context) -> pb.SignOutResponse:
        if not caller().token:
            raise HeddleError(
                pb.ERROR_REASON_WRONG_STATE,
                "the operator's token cannot be revoked; to replace it, remove its file and restart Heddle",
            )
        await self._revoke(caller().token)
        return pb.SignOutResponse()

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, context: Context
    ) -> pb.ListAuditEntriesResponse:
        listed = partial(
            audit.listed,
            before=request.before_sequence or None,
            user=request.user,
            size=page_size(request.page_size, 100, 1000),
        )
        return pb.ListAuditEntriesResponse(entries=await self._database.read(listed))

    async def _create(
        self, kind: TokenKind, owner: Principal, title: str, lifetime: int
    ) -> tuple[pb.Token, str]:
        call, now, secret = current_call(), self._now(), new_token()
        new = NewToken(secrets.token_hex(6), kind, owner, title, now + lifetime)
        if kind is TokenKind.SESSION:
            # The web app asks for the person whose browser it is.
            call = replace(call, principal=owner)

        def write(connection: Connection) -> pb.Token:
            tokens.forget_expired(connection, now - _OF_TOKEN, now)
            if kind is TokenKind.CODE:
                tokens.keep_codes(connection, owner.name, _CODES - 1)
            audit.record(connection, call, f"tokens/{new.id}", "", now)
            return tokens.insert(connection, new, secret, now)

        return await self._database.submit(write), secret

    async def _revoke(self, token: str) -> None:
        call, now = current_call(), self._now()

        def write(connection: Connection) -> None:
            tokens.revoke(connection, token, now)
            audit.record(connection, call, f"tokens/{token}", "", now)

        await self._database.submit(write)
        self._forget()
