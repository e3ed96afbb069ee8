"""Explains why a session of Claude failed and what to do. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from claude_agent_sdk import ResultMessage

from agent_svc.agents.base import provider_failures
from agent_svc.agents.base.host import AgentFailedError, OverBudgetError
from agent_svc.agents.claude.messages.rate_limits import RateLimit
from heddle import pb

LOG_IN: Final = "log in with `claude` on the worker, or set ANTHROPIC_API_KEY for it"

_NO_CREDIT: Final = "the account has no credit left: add some, or use another account"

# By the HTTP status of the API.
_ADVICE: Final = {
    400: "the API refused the request (400)",
    401: f"the API refused the credentials (401): {LOG_IN}",
    402: _NO_CREDIT,
    403: f"the account may not use this (403): {LOG_IN} with another account, or choose another model",
    404: "the API does not know the model (404): correct the plan's `model`",
    413: "the conversation has become too large (413): split the task",
    429: "rate limited (429): wait for the limit to pass, or run fewer sessions at once",
    529: "the API is overloaded (529): try again later",
}

_RATE_LIMITED: Final = 429

# The statuses for which waiting does not help.
HOPELESS: Final = frozenset({401, 402, 403, 404})

_OVER_BUDGET: Final = "error_max_budget_usd"
_OVER_TURNS: Final = "error_max_turns"

# Comes before the prompt when Claude reports that a hook has blocked it.
_PROMPT: Final = "\n\nOriginal prompt:"


# Seconds before Claude's first retry of a failed call. The delay doubles with each further retry.
_FIRST_RETRY: Final = 0.5


def error_of(
    result: ResultMessage, retry_after: float | None, limit: RateLimit | None = None
) -> AgentFailedError | None:
    """Returns the exception for `result`; None if it is a success.

    `retry_after` is the number of seconds that the API last asked Claude to wait, `limit` the limit of a
    subscription that Claude reported last. Both are None if unknown.
    """
    reached = limit if limit is not None and limit.reached else None
    reason = failure(result, reached)
    if not reason:
        return None
    if result.subtype == _OVER_BUDGET:
        return OverBudgetError(reason)
    if result.subtype == _OVER_TURNS:
        return AgentFailedError(reason)
    told = _told(result)
    return provider_failures.failure(
        reason,
        result.api_error_status,
        told,
        retry_after=retry_after,
        retry_at=reached.ends_at if reached else None,
    )


def wish(retry: Mapping[str, Any]) -> float | None:
    """Returns how many seconds the API asks Claude to wait, based on an api_retry; None if unknown.

    Claude reports only the delay that it uses. That is the provider's delay if it is longer than
    Claude's own.
    """
    delay = (retry.get("retry_delay_ms") or 0) / 1000
    own = _FIRST_RETRY * 2 ** ((retry.get("attempt") or 1) - 1)
    return delay if delay > 2 * own else None


def failure(result: ResultMessage, reached: RateLimit | None = None) -> str:
    """Returns why `result` is not a success; empty if it is a success.

    `reached` is the limit of a subscription that ends later. None: there is none.
    """
    if result.stop_reason == "refusal":
        return f"the model refused to work on this task; word the prompt differently. {result.result or ''}".strip()
    if not result.is_error:
        return _not_called(result)
    if result.subtype == _OVER_TURNS:
        return f"over its limit of {max(1, result.num_turns - 1)} turns: raise max_turns, or split the task"
    if result.subtype == _OVER_BUDGET:
        return "it has used up what was left of its budget"
    if reached and result.api_error_status == _RATE_LIMITED:
        return f"{reached.said} ({_RATE_LIMITED}); wait for it to pass. {_told(result)}"
    return api_failure(result.api_error_status, _told(result))


def _told(result: ResultMessage) -> str:
    return result.result or "; ".join(result.errors or []) or result.subtype


def _not_called(result: ResultMessage) -> str:
    """Returns why Claude did not call its model, for example because of a hook; empty if it did."""
    if result.num_turns or result.model_usage or not result.result:
        return ""
    return f"Claude did not call its model: {result.result.partition(_PROMPT)[0]}"


def api_failure(status: int | None, told: str) -> str:
    """Returns the reason for a failed API call. `status` is None if the API did not answer."""
    if provider_failures.kind_of(status, told) == pb.OUTCOME_OUT_OF_CREDIT:
        return f"{_NO_CREDIT}. {told}"
    if status is None:
        return f"Claude cannot continue: {told}"
    if status in _ADVICE:
        return f"{_ADVICE[status]}. {told}"
    if status >= 500:
        return f"the API failed ({status}): try again later. {told}"
    return f"the API answered {status}. {told}"
