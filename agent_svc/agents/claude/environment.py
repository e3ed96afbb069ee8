"""The variables of Claude Code's environment, for the SDK and for Claude's ACP adapter. Must not import the SDK."""

from typing import Final

# The number of retries. More retries only hide the problem from people: by default, Claude Code retries a refused
# login for three minutes and reports nothing meanwhile.
RETRIES: Final = "CLAUDE_CODE_MAX_RETRIES"
DEFAULT_RETRIES: Final = "5"

# The variables that can contain Claude's login, in the order in which Claude checks them.
LOGINS: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
ROUTES: Final = (
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_MODEL",
    RETRIES,
    "CLAUDE_CONFIG_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "NODE_EXTRA_CA_CERTS",
)

# Claude Code sends data only to its model, and does not update itself.
QUIET: Final = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_TELEMETRY": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_AUTOUPDATER": "1",
}

# Makes Claude report whether another turn follows, for example after a background task has ended.
TELLING: Final = {"CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1"}
