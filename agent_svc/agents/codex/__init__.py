"""Drives OpenAI's Codex CLI through `codex exec --json`."""
