"""Explains in plain language why an ACP agent failed and what to do. Pure."""

import re
from typing import Final

from acp import RequestError

from agent_svc.agents.acp.presets import Agent
from agent_svc.agents.base import provider_failures
from agent_svc.agents.base.host import AgentFailedError, OverBudgetError, ProviderError
from agent_svc.agents.claude.messages.rate_limits import RateLimit
from heddle import pb
from heddle.timing.clock import utc_now

# The protocol's code for "log in first".
AUTH_REQUIRED: Final = -32000

STOPS: Final = {
    "max_tokens": "the model's answer was cut at its limit of tokens; ask for less in one task",
    "max_turn_requests": "the agent reached its limit of turns; raise max_turns or ask for less in one task",
    "refusal": "the model refused to continue this task; change the wording of the prompt",
}


class Unanswered(AgentFailedError):  # noqa: N818 (it says what happened)
    """The agent did not answer in time; further requests are pointless."""


class CutOffError(AgentFailedError):
    """A signal ended the program that the agent itself runs."""


# The message of Claude's adapter in that case.
CUT_OFF: Final = re.compile(r"terminated by signal SIG(?:KILL|TERM|SEGV|ABRT|BUS)")

# By the HTTP status of the model's API.
ADVICE: Final = {
    401: "the model's API refused the login",
    402: "the account has no credit left",
    403: "the account may not use this model",
    404: "the model's API does not know the model; correct `model` in the plan",
    429: "rate limited; wait for the limit to pass, or run fewer sessions at once",
    529: "the model's API is overloaded; try again later",
}

RATE_LIMITED: Final = 429

LOGIN_HELPS: Final = frozenset({401, 403})

# How Claude's adapter reports that its own cost limit is reached.
OVER_BUDGET: Final = "maximum budget"

STATUS: Final = re.compile(r"(?:API [Ee]rror|[Ss]tatus(?: code)?|HTTP)[: ]+(\d{3})\b")

# The names that agents use instead of a status.
STATUS_OF: Final = {
    "authentication_failed": 401,
    "billing_error": 402,
    "rate_limit": 429,
    "overloaded": 529,
    "server_error": 500,
}


def reason(error: RequestError, agent: Agent, limit: RateLimit | None = None) -> str:
    """Returns an explanation of the agent's error for people; `limit` is as in `failed`."""
    if error.code == AUTH_REQUIRED:
        return f"{agent.name} is not logged in: {agent.login}"
    said = _said(error)
    status = _status(error, said, limit)
    if status in LOGIN_HELPS:
        return f"{ADVICE[status]} ({status}); log in: {agent.login}. {agent.name} said: {said}"
    if status == RATE_LIMITED and limit is not None and limit.reached:
        return f"{limit.said} ({status}); wait for it to pass. {agent.name} said: {said}"
    if status in ADVICE:
        return f"{ADVICE[status]} ({status}). {agent.name} said: {said}"
    return f"{agent.name} failed: {said}"


def failed(error: RequestError, agent: Agent, limit: RateLimit | None = None) -> AgentFailedError:
    """Returns the exception for an error of the agent.

    `limit` is the rate limit that the agent reported last as data. None: it reported none, and
    its message may say when a limit ends.
    """
    said = _said(error)
    if CUT_OFF.search(said):
        return CutOffError(f"{agent.name} failed: {said}")
    if OVER_BUDGET in said:
        return OverBudgetError("it has used up what was left of its budget")
    if error.code == AUTH_REQUIRED:
        return ProviderError(reason(error, agent), pb.OUTCOME_UNAUTHORIZED)
    status = _status(error, said, limit)
    retry_at = limit.ends_at if status == RATE_LIMITED and limit is not None and limit.reached else None
    if retry_at is None:
        retry_at = provider_failures.reset_time(said, utc_now().astimezone())
    return provider_failures.failure(reason(error, agent, limit), status, said, retry_at=retry_at)


def _said(error: RequestError) -> str:
    details = error.data.get("details") if isinstance(error.data, dict) else error.data
    return f"{error}: {details}" if isinstance(details, str) and details != str(error) else str(error)


def _status(error: RequestError, said: str, limit: RateLimit | None) -> int:
    """Returns the HTTP status of the model's API; 0 if the agent does not report it."""
    if found := STATUS.search(said):
        return int(found[1])
    kind = error.data.get("errorKind", "") if isinstance(error.data, dict) else ""
    if status := STATUS_OF.get(str(kind), 0):
        return status
    return RATE_LIMITED if limit is not None and limit.reached else 0


def stopped_early(stop_reason: str) -> str:
    """Returns why the turn ended before the work was done; empty if the work may be done."""
    return STOPS.get(stop_reason, "")
