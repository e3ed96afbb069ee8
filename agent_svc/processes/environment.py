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
