"""Drives OpenAI's Codex CLI by `codex exec --json`."""
