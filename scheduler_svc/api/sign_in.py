"""Identifies the callers of the scheduler by their tokens, and records what is refused."""

import getpass
import hmac
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import grpc
import structlog

from heddle import pb
from heddle.config import Settings
from heddle.errors import HeddleError
from heddle.identity import certificates, token_file
from heddle.identity.principals import Call, Kind, Principal
from heddle.names import ANY
from scheduler_svc.store.db.database import Database
from scheduler_svc.store.queries.records import project_of
from scheduler_svc.store.rows.callers import audit, tokens

log: structlog.stdlib.BoundLogger = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]

_SCHEME: Final = "Bearer "
_WEB: Final = Principal("the web app", kind=Kind.WEB)

# Seconds for which a token is trusted after it was looked up; also the time until another replica's revocation counts.
_TRUST: Final = 3.0

# Refusals of one caller, or of all unknown ones, that are recorded in one minute.
_RECORDED: Final = 600

# Calls that a caller with limited projects may make without naming a run. Their results are limited, or are of no
# project: the workers and the caller itself.
_LIMITED: Final = frozenset(
    {
        "SchedulerService.ListRuns",
        "SchedulerService.WatchRuns",
        "SchedulerService.ListApprovals",
        "SchedulerService.ListHolds",
        "SchedulerService.ListWorkers",
        "IdentityService.GetCaller",
        "IdentityService.SignOut",
        "IdentityService.CreateSignInCode",
        "IdentityService.GetPreferences",
        "IdentityService.UpdatePreferences",
    }
)
# Calls that name a project in one field, or none: then their results are limited as well.
_COSTS: Final = {"SchedulerService.ListCosts": "parent", "SchedulerService.ListDailyCosts": "project"}
_SEVERAL: Final = frozenset({"", ANY})
_RESOURCE_FIELDS: Final = ("name", "parent", "attempt")


class SignIn:
    """The guard of the scheduler. `fixed` has the principals of tokens that are not in the database."""

    takes_tokens = True

    def __init__(self, fixed: Mapping[str, Principal], database: Database, now: Callable[[], int]) -> None:
        self._fixed = {token.encode(): principal for token, principal in fixed.items()}
        self._database = database
        self._now = now
        # The owner of each token that was looked up, and until when it is trusted.
        self._known: dict[str, tuple[Principal, float]] = {}
        self._projects: dict[str, str] = {}
        # Refusals of the current minute, by caller: a flood of one must not hide those of others.
        self._minute = 0
        self._refusals: Counter[str] = Counter()

    async def identify(self, context: Context) -> Principal:
        """Returns the owner of the call's bearer token, or without one the web app or a worker by its certificate.

        Raises UNAUTHENTICATED for any other call.
        """
        header = str(dict(context.invocation_metadata() or ()).get("authorization", ""))
        found_in_certificate = set() if header else certificates.identities(context.auth_context())
        if certificates.WEB in found_in_certificate:
            return _WEB
        if name := certificates.worker_of(found_in_certificate):
            return Principal(f"worker/{name}", kind=Kind.WORKER)
        if not header:
            raise _refused(
                "this call has no token; send `authorization: Bearer TOKEN` (`heddle token` prints yours)"
            )
        secret = header.removeprefix(_SCHEME)
        for known, principal in self._fixed.items():
            if hmac.compare_digest(known, secret.encode()):
                return principal
        found = await self._look_up(secret)
        if found is None:
            raise _refused(
                "the token of this call is unknown, expired or revoked; `heddle token` prints that of this data folder"
            )
        return found

    async def _look_up(self, secret: str) -> Principal | None:
        known, until = self._known.get(secret, (None, 0.0))
        if known and time.monotonic() < until:
            return known
        found = await self._database.read(partial(tokens.find, secret=secret, now=self._now()))
        self._known = {key: value for key, value in self._known.items() if value[1] > time.monotonic()}
        if found:
            self._known[secret] = (found, time.monotonic() + _TRUST)
        return found

    def forget(self) -> None:
        """Makes the next call of each token look it up again, as after a revocation."""
        self._known.clear()

    async def check_scope(self, call: Call, request: Any) -> None:
        """Raises PERMISSION_DENIED if the caller is limited to projects and the request is not about one of them."""
        allowed = call.principal.projects
        if not allowed or call.method in _LIMITED:
            return
        if call.method in _COSTS and getattr(request, _COSTS[call.method]) in {*_SEVERAL, *allowed}:
            return
        # A stream of requests has no fields before the first one is read.
        if not hasattr(request, "DESCRIPTOR") or await self._project(request) not in allowed:
            # The same whether or not the run exists, and without its project: a guess must not find out.
            raise HeddleError(
                pb.ERROR_REASON_PERMISSION_DENIED,
                f"the token of {call.principal.name} is limited to {', '.join(allowed)}, and this call is not about that",
            )

    async def _project(self, request: Any) -> str:
        """Returns the project that a request is about; empty if it is about none, or several."""
        fields = request.DESCRIPTOR.fields_by_name
        other = request.again if "again" in fields else request.revises.run if "revises" in fields else ""
        if "project" in fields and not other:
            return str(request.project)
        resource = other or next((getattr(request, name) for name in _RESOURCE_FIELDS if name in fields), "")
        parts = resource.split("/")
        if parts[0] != "runs" or len(parts) < 2 or parts[1] == "-":
            return ""
        if parts[1] not in self._projects:
            found = await self._database.read(partial(project_of, run=parts[1]))
            if not found:
                return ""
            self._projects[parts[1]] = found
        return self._projects[parts[1]]

    async def note_refusal(self, call: Call, request: Any, error: HeddleError) -> None:
        """Adds a refusal to the audit log. A flood of refusals is cut off, so that it cannot fill the disk."""
        user, minute = call.principal.name, int(time.monotonic() / 60)
        if minute != self._minute:
            self._minute = minute
            self._refusals.clear()
        self._refusals[user] += 1
        if self._refusals[user] > _RECORDED:
            if self._refusals[user] == _RECORDED + 1:
                log.warning("refusals_not_recorded", user=user, detail=f"more than {_RECORDED} in one minute")
            return
        log.warning("call_refused", method=call.method, user=user, peer=call.peer, error=error.message)
        if error.reason not in _REFUSALS:
            return
        fields = getattr(request, "DESCRIPTOR", None)
        named = fields.fields_by_name if fields else {}
        resource = next((getattr(request, name) for name in _RESOURCE_FIELDS if name in named), "")
        request_id = request.request_id if "request_id" in named else ""
        work = partial(
            audit.record,
            call=call,
            resource=resource,
            request_id=request_id,
            now=self._now(),
            refusal=error.message,
        )
        try:
            await self._database.submit(work)
        except HeddleError as failure:
            log.warning("refusal_not_recorded", error=failure.message)


_REFUSALS: Final = frozenset({pb.ERROR_REASON_UNAUTHENTICATED, pb.ERROR_REASON_PERMISSION_DENIED})


def sign_in(settings: Settings, database: Database, now: Callable[[], int]) -> SignIn:
    """Returns the guard; the tokens of the data folder are created if needed."""
    operator = settings.token or token_file.ensure(token_file.operator_file(settings.home))
    web = token_file.ensure(token_file.web_file(settings.home))
    fixed = {
        operator: Principal(_operator(), pb.ROLE_ADMIN),
        web: _WEB,
    }
    return SignIn(fixed, database, now)


def _operator() -> str:
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):
        # A container may run as a user without a passwd entry.
        return "user"


def _refused(message: str) -> HeddleError:
    return HeddleError(pb.ERROR_REASON_UNAUTHENTICATED, message)
