"""The host of Claude Code, through claude-agent-sdk."""
