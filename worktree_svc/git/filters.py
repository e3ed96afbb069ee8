"""Decides which filters from a project's own .git/config may run, for example git-crypt or a local git-lfs.

A filter is a program, and agents may be able to write .git/config. So only two kinds of these filters run. The
first kind was defined when this data folder first used the project, before any agent worked there; it runs as
recorded at that time. The operator names the second kind in HEDDLE_FILTERS; it runs as currently defined.
Filters from the user's or the system's configuration always run, because agents do not write these files.
"""

import re
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from heddle import errors, pb
from worktree_svc.git.command import Git, decode

# In HEDDLE_FILTERS, turns off all of a project's own filters.
NONE: Final = "none"

_KEY: Final = re.compile(r"filter\.(.+)\.(clean|smudge|process|required)")
_COMMANDS: Final = (".clean", ".smudge", ".process")

# Matches a filter in a line of .gitattributes.
_USED: Final = re.compile(r"(?:^|\s)filter=(\S+)", re.MULTILINE)

# By setting, for example filter.lfs.clean.
FilterSettings = Mapping[str, str]


def defined(common: Path) -> FilterSettings:
    """Returns the filter settings in the configuration of the repository at `common`, including files that it includes."""
    own = _read(common, common / "config.worktree", "--includes")
    return {**_read(common, common / "config", "--includes"), **own}


def recorded(file: Path) -> FilterSettings:
    """Returns the filter settings in one of the service's configuration files; includes are not followed."""
    return _read(file.parent, file, "--no-includes")


def allowed(first: FilterSettings, now: FilterSettings, named: Collection[str]) -> FilterSettings:
    """Returns the filters that may run: those recorded at first use and those that the operator named."""
    if NONE in named:
        return {}
    kept = {key: value for key, value in first.items() if name_of(key) not in named}
    return kept | {key: value for key, value in now.items() if name_of(key) in named}


def name_of(key: str) -> str:
    """Returns the name of the filter that a setting belongs to; empty if it belongs to none."""
    found = _KEY.fullmatch(key)
    return found[1] if found else ""


def check(git: Git, common: Path, commit: str, running: FilterSettings, named: Collection[str]) -> None:
    """Raises FILTER_NOT_ALLOWED if files of `commit` use a filter of the user's git that may not run here.

    `running`: the filters that may run. A filter whose command is a file of the project would run code that an
    agent may have written, so the operator must name it.
    """
    now = defined(common)
    changed = {name_of(key) for key in {*now, *running} if now.get(key) != running.get(key) and key in now}
    inside = {name_of(key) for key, value in running.items() if _is_of_project(git, commit, key, value)}
    doubtful = changed | (inside - set(named))
    if not doubtful:
        return
    used = sorted(doubtful & _used(git, common, commit))
    if not used:
        return
    raise errors.HeddleError(
        pb.ERROR_REASON_FILTER_NOT_ALLOWED,
        f"files of the project have the filter {', '.join(used)} (.gitattributes), which .git/config defines."
        " Without it, content that it should encrypt or store elsewhere would be committed as it is, so nothing was"
        " started."
        f" {_why(set(used) & inside, named)} If the commands there are yours, start the worker with"
        f" HEDDLE_FILTERS={','.join(sorted({*named, *used} - {NONE}))}; or define the filter in ~/.gitconfig.",
        filters=",".join(used),
    )


def _why(inside: Collection[str], named: Collection[str]) -> str:
    if NONE in named:
        return "HEDDLE_FILTERS allows none to run."
    if inside:
        return "Its command is a file of the project, which an agent could change."
    return (
        "It was added or changed after Heddle first worked on the project, so an agent may have written it."
    )


def _is_of_project(git: Git, commit: str, key: str, command: str) -> bool:
    """Returns whether a filter's command names a file of the commit by its relative path."""
    if not key.endswith(_COMMANDS):
        return False
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    relative = [word.removeprefix("./") for word in words if not word.startswith(("/", "-", "%"))]
    return any(_is_file(git, f"{commit}:{word}") for word in relative if word and ".." not in word)


def _is_file(git: Git, name: str) -> bool:
    return git.run("cat-file", "-t", name).stdout.strip() == b"blob"


def _used(git: Git, common: Path, commit: str) -> set[str]:
    """Returns the filters that .gitattributes files of a commit and the repository's info/attributes use."""
    patterns = (":(glob)**/.gitattributes",)
    found = git.run("grep", "-h", "--text", "-e", "filter=", commit, "--", *patterns)
    text = decode(found.stdout)
    own = common / "info" / "attributes"
    if own.is_file():
        text += "\n" + own.read_text(errors="replace")
    return set(_USED.findall(text))


def _read(folder: Path, file: Path, *options: str) -> FilterSettings:
    arguments = ("config", "--file", str(file), *options, "--null", "--get-regexp", r"^filter\.")
    output = Git(folder).run(*arguments) if file.is_file() else None
    entries = decode(output.stdout).split("\0") if output else []
    pairs = [entry.partition("\n") for entry in entries]
    return {key: value if separator else "true" for key, separator, value in pairs if _KEY.fullmatch(key)}
