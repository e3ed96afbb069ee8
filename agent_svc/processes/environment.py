"""What an agent may know of this service's environment: an allowlist, never all of it."""

from collections.abc import Iterable, Mapping
from typing import Final

ALLOWED: Final = frozenset({"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TZ", "TMPDIR"})
LOCALE_PREFIX: Final = "LC_"

# A program that opens an editor gets an error that says why, instead of a wait or an empty text. $0 is the file.
_NO_EDITOR: Final = (
    'sh -c \'echo "no editor is available for $0: give the text by an option or a file, as git commit -m TEXT does" >&2;'
    " exit 1'"
)

# An agent, a check or a setup has no one at a terminal: what would ask fails at once with an error. ssh asks
# nothing either, as there is no terminal; its own variables stay free for a user's keys.
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

# Linux takes no longer string in an environment (MAX_ARG_STRLEN, with room for the name).
MAX_VALUE_BYTES: Final = (128 << 10) - 64


def agent_environment(
    ours: Mapping[str, str], names: Iterable[str], added: Mapping[str, str], prompt: str | None
) -> dict[str, str]:
    """Returns the environment of an agent: what is allowed of `ours`, the operator's `names`, `added`.

    UNATTENDED, which keeps programs from waiting for input, has the lowest priority.

    HEDDLE_PROMPT is left out if there is no prompt, or it is too long for an
    environment; it always comes on standard input.
    """
    wanted = ALLOWED | set(names)
    allowed = {
        name: value for name, value in ours.items() if name in wanted or name.startswith(LOCALE_PREFIX)
    }
    environment = {**UNATTENDED, **allowed, **added}
    if prompt is not None and len(prompt.encode()) <= MAX_VALUE_BYTES and "\0" not in prompt:
        environment["HEDDLE_PROMPT"] = prompt
    return environment
