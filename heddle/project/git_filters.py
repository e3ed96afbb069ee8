"""Decides which filters from a project's own .git/config may run, for example git-crypt or a local git-lfs.

A filter is a program, and agents may be able to write .git/config. So only two kinds of these filters run. The
first kind was defined when the data folder first used the project, before any agent worked there; it runs as
recorded at that time. The operator names the second kind in HEDDLE_FILTERS; it runs as currently defined.
Filters from the user's or the system's configuration always run, because agents do not write these files.
"""

import re
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# In HEDDLE_FILTERS, turns off all of a project's own filters.
NONE: Final = "none"

# The file in a project's folder below HEDDLE_HOME/repositories with the filters that it had at first use.
RECORD: Final = "filters"

_KEY: Final = re.compile(r"filter\.(.+)\.(clean|smudge|process|required)")
_COMMANDS: Final = (".clean", ".smudge", ".process")

# Matches a filter in a line of .gitattributes.
_USED: Final = re.compile(r"(?:^|\s)filter=(\S+)", re.MULTILINE)

# Runs git with these arguments in the repository; returns its standard output, which is empty if git fails.
RunGit = Callable[..., bytes]

# By setting, for example filter.lfs.clean.
FilterSettings = Mapping[str, str]


@dataclass(frozen=True)
class NotAllowed:
    """The filters that .git/config defines, but that may not run as it defines them; sorted by name."""

    # Files of the commit have these filters, so no run starts from it.
    used: tuple[str, ...]
    # No file of the commit has these filters.
    unused: tuple[str, ...]
    # The names among both whose command is a file of the project.
    inside: frozenset[str]
    # The value of HEDDLE_FILTERS.
    named: tuple[str, ...]

    @property
    def problem(self) -> str:
        """What is wrong with the filters in `used`: a sentence without its full stop."""
        return (
            f"files of the project have the filter {', '.join(self.used)} (.gitattributes), which .git/config defines."
            " Without it, content that it should encrypt or store elsewhere would be committed as it is"
        )

    def why(self, names: Collection[str]) -> str:
        """Returns the sentence that says why some of the filters may not run."""
        if NONE in self.named:
            return "HEDDLE_FILTERS allows none to run."
        if self.inside & set(names):
            return "Its command is a file of the project, which an agent could change."
        return "It was added or changed after Heddle first worked on the project, so an agent may have written it."

    def advice(self, names: Collection[str]) -> str:
        """Returns what to do so that some of the filters run."""
        value = ",".join(sorted({*self.named, *names} - {NONE}))
        return (
            f"If the commands there are yours, start the worker with HEDDLE_FILTERS={value};"
            " or define the filter in ~/.gitconfig."
        )


def defined(git: RunGit, common: Path) -> FilterSettings:
    """Returns the filter settings in the configuration of the repository at `common`, including files that it includes."""
    own = _read(git, common / "config.worktree", "--includes")
    return {**_read(git, common / "config", "--includes"), **own}


def recorded(git: RunGit, file: Path) -> FilterSettings:
    """Returns the filter settings in one of the service's configuration files; includes are not followed."""
    return _read(git, file, "--no-includes")


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


def not_allowed(
    git: RunGit,
    common: Path,
    commit: str,
    *,
    now: FilterSettings,
    running: FilterSettings,
    named: Collection[str],
) -> NotAllowed | None:
    """Returns the filters in `now` that may not run; None if all may.

    `now`: the filters of .git/config. `running`: the filters that may run. A filter whose command is a
    file of the project would run code that an agent may have written, so the operator must name it.
    """
    changed = {name_of(key) for key in {*now, *running} if now.get(key) != running.get(key) and key in now}
    inside = {name_of(key) for key, value in running.items() if _is_of_project(git, commit, key, value)}
    doubtful = changed | (inside - set(named))
    if not doubtful:
        return None
    used = doubtful & _used(git, common, commit)
    return NotAllowed(
        tuple(sorted(used)), tuple(sorted(doubtful - used)), frozenset(inside), tuple(sorted(named))
    )


def _is_of_project(git: RunGit, commit: str, key: str, command: str) -> bool:
    """Returns whether a filter's command names a file of the commit by its relative path."""
    if not key.endswith(_COMMANDS):
        return False
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    relative = [word.removeprefix("./") for word in words if not word.startswith(("/", "-", "%"))]
    return any(_is_file(git, f"{commit}:{word}") for word in relative if word and ".." not in word)


def _is_file(git: RunGit, name: str) -> bool:
    return git("cat-file", "-t", name).strip() == b"blob"


def _used(git: RunGit, common: Path, commit: str) -> set[str]:
    """Returns the filters that .gitattributes files of a commit and the repository's info/attributes use."""
    patterns = (":(glob)**/.gitattributes",)
    text = _text(git("grep", "-h", "--text", "-e", "filter=", commit, "--", *patterns))
    own = common / "info" / "attributes"
    if own.is_file():
        text += "\n" + own.read_text(errors="replace")
    return set(_USED.findall(text))


def _read(git: RunGit, file: Path, *options: str) -> FilterSettings:
    arguments = ("config", "--file", str(file), *options, "--null", "--get-regexp", r"^filter\.")
    entries = _text(git(*arguments)).split("\0") if file.is_file() else []
    pairs = [entry.partition("\n") for entry in entries]
    return {key: value if separator else "true" for key, separator, value in pairs if _KEY.fullmatch(key)}


def _text(output: bytes) -> str:
    return output.decode(errors="surrogateescape")
