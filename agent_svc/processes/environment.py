"""Builds an agent's environment: only allowed variables of this service's environment are inherited."""

from collections.abc import Iterable, Mapping
from typing import Final

ALLOWED: Final = frozenset({"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TZ", "TMPDIR"})
LOCALE_PREFIX: Final = "LC_"

# A program that opens an editor fails with an explanation; it does not wait or use empty text. $0 is the file.
_NO_EDITOR: Final = (
    'sh -c \'echo "no editor is available for $0: give the text by an option or a file, as git commit -m TEXT does" >&2;'
    " exit 1'"
)

# Agents, checks and setups run without a terminal, so a program that prompts must fail at once with an error.
# ssh does not prompt without a terminal; its own variables are left for a user's keys.
UNATTENDED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("EDITOR", "VISUAL", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR"), _NO_EDITOR),
    **dict.fromkeys(("PAGER", "GIT_PAGER", "MANPAGER", "SYSTEMD_PAGER", "GH_PAGER"), "cat"),
    "GIT_MERGE_AUTOEDIT": "no",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "false",
    "SSH_ASKPASS": "false",
    "SSH_ASKPASS_REQUIRE": "never",
    "GH_PROMPT_DISABLED": "1",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_NO_INPUT": "1",
}

# Variables with which a repository could send an agent's login elsewhere, or run a program of its own with it.
_STEERING: Final = frozenset(
    {
        *ALLOWED - {"LANG", "TERM", "TZ"},
        "ALL_PROXY",
        "BASH_ENV",
        "ENV",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NODE_EXTRA_CA_CERTS",
        "NODE_OPTIONS",
        "NODE_PATH",
        "NODE_TLS_REJECT_UNAUTHORIZED",
        "NO_PROXY",
        "SSLKEYLOGFILE",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
    }
)
_STEERING_PREFIXES: Final = ("BUN_", "DYLD_", "GIT_", "LD_", "OTEL_", "XDG_")

# How the names of logins end. Other names that start like them belong to the same program.
_LOGIN_ENDS: Final = ("_API_KEY", "_TOKEN", "_BASE_URL")

# Linux limits the length of one variable (MAX_ARG_STRLEN, less room for the name).
MAX_VALUE_BYTES: Final = (128 << 10) - 64


def agent_environment(
    ours: Mapping[str, str], names: Iterable[str], added: Mapping[str, str], prompt: str | None
) -> dict[str, str]:
    """Returns an agent's environment: the variables of `ours` that are allowed or in `names`, and `added`.

    UNATTENDED, which keeps programs from waiting for input, has the lowest priority.

    HEDDLE_PROMPT is left out if there is no prompt, or if the prompt is too long for a
    variable or contains a NUL. The prompt is always sent on standard input as well.
    """
    wanted = ALLOWED | set(names)
    allowed = {
        name: value for name, value in ours.items() if name in wanted or name.startswith(LOCALE_PREFIX)
    }
    environment = {**UNATTENDED, **allowed, **added}
    if prompt is not None and len(prompt.encode()) <= MAX_VALUE_BYTES and "\0" not in prompt:
        environment["HEDDLE_PROMPT"] = prompt
    return environment


def steering(names: Iterable[str], login_variables: Iterable[str]) -> list[str]:
    """Returns those of a repository's variables that its agent does not get, sorted.

    `login_variables` are the names with which the agent logs in.
    """
    logins = tuple(login_variables)
    owners = tuple(f"{name.partition('_')[0]}_" for name in logins if name.endswith(_LOGIN_ENDS))
    return sorted(
        name
        for name in names
        if name.upper() in _STEERING
        or name in logins
        or name.upper().startswith((*_STEERING_PREFIXES, *owners))
    )
