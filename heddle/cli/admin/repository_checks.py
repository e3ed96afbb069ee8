"""The checks of `heddle doctor --repo` on git filters, as the worker of this machine decides about them."""

import subprocess
from pathlib import Path
from typing import Final

from heddle.cli.admin.machine_checks import Finding
from heddle.config import Settings
from heddle.files import data_folder
from heddle.project import git_filters

_TIMEOUT: Final = 30


def filters(folder: Path, settings: Settings) -> list[Finding]:
    """Returns a finding for the filters of .git/config that Heddle does not run; empty if there are none.

    What was recorded at first use is read from the data folder of this machine, and HEDDLE_FILTERS from the
    environment of this command.
    """
    found = _run(folder, "rev-parse", "--path-format=absolute", "--git-common-dir", "HEAD^{commit}")
    lines = found.decode(errors="surrogateescape").removesuffix("\n").split("\n")
    if len(lines) != 2:
        # Not a repository, or one without a commit: other checks say so.
        return []
    common, commit = Path(lines[0]).resolve(), lines[1]

    def git(*arguments: str) -> bytes:
        return _run(common, f"--git-dir={common}", *arguments)

    now = git_filters.defined(git, common)
    private = settings.home / data_folder.REPOSITORIES / data_folder.repository_name(common)
    record = private / git_filters.RECORD
    first = git_filters.recorded(git, record) if record.is_file() else now
    running = git_filters.allowed(first, now, settings.filters)
    refused = git_filters.not_allowed(git, common, commit, now=now, running=running, named=settings.filters)
    return _findings(f"git filters of {folder}", refused) if refused else []


def _findings(subject: str, refused: git_filters.NotAllowed) -> list[Finding]:
    findings = []
    if refused.used:
        detail = f"{refused.problem}, so no run starts. {refused.why(refused.used)}"
        findings.append(Finding(subject, False, detail, refused.advice(refused.used)))
    if refused.unused:
        detail = (
            f"Heddle does not run the filter {', '.join(refused.unused)} of .git/config."
            f" {refused.why(refused.unused)} No file of HEAD uses it, so runs start"
        )
        findings.append(Finding(subject, None, detail, refused.advice(refused.unused)))
    return findings


def _run(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=False, timeout=_TIMEOUT
        )
    except (OSError, subprocess.SubprocessError):
        return b""
    return done.stdout if done.returncode == 0 else b""
