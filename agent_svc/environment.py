"""What an agent may know of this service's environment: an allowlist, never all of it."""

from collections.abc import Iterable, Mapping
from typing import Final

ALLOWED: Final = frozenset({"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TZ", "TMPDIR"})
LOCALE_PREFIX: Final = "LC_"

# Linux takes no longer string in an environment (MAX_ARG_STRLEN, with room for the name).
MAX_VALUE_BYTES: Final = (128 << 10) - 64


def agent_environment(
    ours: Mapping[str, str], names: Iterable[str], added: Mapping[str, str], prompt: str | None
) -> dict[str, str]:
    """Returns the environment of an agent: what is allowed of `ours`, the operator's `names`, `added`.

    HEDDLE_PROMPT is left out where there is none, or it is too long for an
    environment; it always comes on standard input.
    """
    wanted = ALLOWED | set(names)
    environment = {
        name: value for name, value in ours.items() if name in wanted or name.startswith(LOCALE_PREFIX)
    }
    environment.update(added)
    if prompt is not None and len(prompt.encode()) <= MAX_VALUE_BYTES and "\0" not in prompt:
        environment["HEDDLE_PROMPT"] = prompt
    return environment
