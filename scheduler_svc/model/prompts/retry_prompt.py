"""The prompt of a retry, which explains why the previous attempt failed. Pure."""

from typing import Final

from heddle import pb

# Size limits: the text added to a prompt, the command or name of a check in it, and the reason.
MAX_BYTES: Final = 4 << 10
_MAX_LABEL_BYTES: Final = 200
_MAX_REASON_BYTES: Final = 1200

# Bytes of an empty quoted line.
_SHORTEST: Final = 5

_FAILED_BY_A_CHECK: Final = "Checks that must pass did not. The end of what each printed:"


def prompt_after(prompt: str, failed: pb.Attempt) -> str:
    """Returns the prompt followed by a marked report on the attempt `failed`, of at most 4 KiB."""
    number = failed.name.rpartition("/")[2]
    reason = _head(failed.reason, _MAX_REASON_BYTES)
    lines = [
        "",
        "",
        "---",
        f"[Heddle] Attempt {number} of this task failed: {reason}.",
        "You start again from the last accepted commit, without its changes.",
    ]
    if failed.kept_ref:
        lines.append(f"They are kept: `git diff HEAD...{failed.kept_ref}` shows them.")
    text = "\n".join([*lines, ""])
    return f"{prompt}{text}{evidence(failed, MAX_BYTES - len(text.encode()))}"


def evidence(failed: pb.Attempt, room: int) -> str:
    """Returns what a failed attempt's checks printed, or else its last words, quoted, in at most `room` bytes."""
    checks = [check for check in failed.checks if not check.ok]
    return _checks(checks, room) if checks else _last_words(failed, room)


def _checks(checks: list[pb.CheckFinished], room: int) -> str:
    """Returns every failed check with as many of its last lines of output as fit."""
    text = f"{_FAILED_BY_A_CHECK}\n"
    room -= len(text.encode())
    for place, check in enumerate(checks):
        name = _head(check.name, _MAX_LABEL_BYTES)
        command = _head(check.command, _MAX_LABEL_BYTES)
        code = f"exit code {check.exit_code}" if check.HasField("exit_code") else "ended by a signal"
        part = _quoted(f"\n{name} (`{command}`), {code}:\n", check.output, room // (len(checks) - place))
        text += part
        room -= len(part.encode())
    return text


def _last_words(failed: pb.Attempt, room: int) -> str:
    lines = "\n".join(line for line in failed.summary.last_lines if line)
    return _quoted("Its last words:\n", lines, room) if lines else ""


def _quoted(title: str, text: str, room: int) -> str:
    """Returns the title and the end of `text`, quoted to separate it from the instructions."""
    ends = text.rstrip().splitlines()
    kept: list[str] = []
    left = room - len(title.encode())
    for line in reversed(ends):
        quoted = f"    {line}\n"
        if len(quoted.encode()) > left:
            if not kept and left > _SHORTEST:
                end = line.encode()[_SHORTEST - left :].decode(errors="ignore")
                kept.append(f"    {end}\n")
            break
        kept.append(quoted)
        left -= len(quoted.encode())
    return title + "".join(reversed(kept)) if left >= 0 else ""


def _head(text: str, limit: int) -> str:
    return " ".join(text.encode()[:limit].decode(errors="ignore").split())
