"""Why a session of Claude ended badly, in words that say what to do. Pure."""

from typing import Final

from claude_agent_sdk import ResultMessage

from agent_svc.hosts.hosting import AgentFailedError, OverBudgetError, RateLimitedError

LOG_IN: Final = "log in with `claude` on the worker, or set ANTHROPIC_API_KEY for it"

# By the status that the API answered.
_ADVICE: Final = {
    400: "the API refused the request (400)",
    401: f"the API refused the credentials (401): {LOG_IN}",
    402: "the account has no credit left (402): add some, or use another account",
    403: f"the account may not use this (403): {LOG_IN} with another account, or choose another model",
    404: "the API does not know the model (404): correct the plan's `model`",
    413: "the conversation has become too large (413): split the task",
    429: "rate limited (429): wait for the limit to pass, or run fewer sessions at once",
    529: "the API is overloaded (529): try again later",
}

# After these, waiting does not help.
HOPELESS: Final = frozenset({401, 402, 403, 404})

_BUSY: Final = frozenset({429, 529})
_OVER_BUDGET: Final = "error_max_budget_usd"


def error_of(result: ResultMessage, retry_after: float | None) -> AgentFailedError | None:
    """Returns what `result` raises; None where it is a success.

    `retry_after` is how many seconds the API wanted Claude to wait last. None: none.
    """
    reason = failure(result)
    if not reason:
        return None
    if result.subtype == _OVER_BUDGET:
        return OverBudgetError(reason)
    if result.api_error_status in _BUSY:
        return RateLimitedError(reason, retry_after)
    return AgentFailedError(reason)


def failure(result: ResultMessage) -> str:
    """Returns why `result` is no success; empty where it is one."""
    if not result.is_error:
        return ""
    if result.subtype == "error_max_turns":
        return f"over its limit of {max(1, result.num_turns - 1)} turns: raise max_turns, or split the task"
    if result.subtype == _OVER_BUDGET:
        return "it has used up what was left of its budget"
    told = result.result or "; ".join(result.errors or []) or result.subtype
    return api_failure(result.api_error_status, told)


def api_failure(status: int | None, told: str) -> str:
    """Returns the reason for an answer of the API. `status` is None where there was no answer."""
    if status is None:
        return f"Claude cannot go on: {told}"
    if status in _ADVICE:
        return f"{_ADVICE[status]}. {told}"
    if status >= 500:
        return f"the API failed ({status}): try again later. {told}"
    return f"the API answered {status}. {told}"
