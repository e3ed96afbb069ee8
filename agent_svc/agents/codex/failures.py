"""Explains a failure that codex reports, in plain language, and says what to do. Pure."""

import json
import re
from typing import Final

from agent_svc.agents.base.provider_failures import kind_of
from heddle import pb

# How codex begins a line about a connection that it retries.
RECONNECTING: Final = "Reconnecting..."

# The statuses for which a retry never helps.
REFUSED: Final = frozenset({401, 403})

_NO_CREDIT: Final = "the account has no credit left: add some, or log in with another account"

_STATUS: Final = re.compile(r"\bstatus:? (\d{3})\b")
_RETRY: Final = re.compile(r"Reconnecting\.\.\. [^(]*\((.*)\)\s*", re.DOTALL)


def status_of(message: str) -> int | None:
    """Returns the HTTP status in a message of codex; None if there is no status."""
    if found := _STATUS.search(message):
        return int(found[1])
    return 429 if message.lower().startswith("rate limit") else None


def is_refusal(message: str) -> bool:
    """Returns whether codex retries a request that the model's API will always refuse."""
    return message.startswith(RECONNECTING) and status_of(cause_of(message)) in REFUSED


def cause_of(message: str) -> str:
    """Returns the cause in a message of codex, without the text about retries or a JSON wrapper."""
    if found := _RETRY.fullmatch(message):
        message = found[1]
    try:
        said = json.loads(message)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return message.strip()
    return said if isinstance(said, str) else message


def plain_reason(message: str) -> str:
    """Returns why the agent failed and what to do."""
    cause = cause_of(message)
    status = status_of(cause)
    advice = _NO_CREDIT if kind_of(status, cause) == pb.OUTCOME_OUT_OF_CREDIT else _advice(status)
    return f"{advice}. codex says: {cause}" if advice else f"codex failed: {cause}"


def _advice(status: int | None) -> str:
    match status:
        case 401 | 403:
            return (
                f"the model's API refused codex (HTTP {status}): log in with `codex login` as the user that runs"
                " agent_svc, or give the service a valid CODEX_API_KEY"
            )
        case 404:
            return (
                "the model's API does not know what was asked of it (HTTP 404): see the model's name"
                " and the base_url in codex's config.toml"
            )
        case 429:
            return (
                "the rate limit of the model's API is reached (HTTP 429): try again later, or run fewer"
                " sessions at once"
            )
        case int() if status >= 500:
            return f"the model's API is overloaded or down (HTTP {status}): try again later"
        case _:
            return ""


def unreachable(message: str, seconds: float) -> str:
    """Returns the reason for a failure after codex had no connection for `seconds`."""
    return (
        f"codex could not connect to the model's API for {seconds:g} s: see the network, a proxy's variables"
        f" in HEDDLE_AGENT_ENV, and the base_url in codex's config.toml. codex says: {cause_of(message)}"
    )


def sandbox_broken(output: str) -> str:
    """Returns the reason for a failure because codex's sandbox cannot start and no command can run."""
    return (
        "codex's sandbox cannot start on this worker, so codex can run nothing: allow user namespaces"
        " there (sysctl user.max_user_namespaces and kernel.unprivileged_userns_clone, or the container's"
        f" seccomp and AppArmor profiles). The sandbox says: {output.strip()}"
    )
