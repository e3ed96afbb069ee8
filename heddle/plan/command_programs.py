"""What is known about programs: which run other commands, and which options write files or run programs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from heddle.plan.shell_words import Command, Word


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Programs that run a command from their arguments, also as a text. Reserved words are among them, because the
# parser takes some for arguments, as in `time { …; }`.
RUNNERS: Final = _set("""
    ! { ( if then else elif while until do time coproc
    noglob nocorrect repeat builtin command exec eval trap alias source .
    busybox toybox caffeinate chroot chrt choom chpst cpulimit dbus-run-session doas entr env faketime
    fakeroot find fd fdfind firejail bwrap flock gosu ionice ltrace nice nohup nsenter numactl parallel pkexec prlimit
    proxychains proxychains4 rlwrap rtk runuser script setarch setpriv setsid sg softlimit ssh sshpass start-stop-daemon
    stdbuf strace su sudo systemd-inhibit systemd-run taskset time timeout gtimeout torsocks tsocks unbuffer unshare
    valgrind watch watchexec winpty xargs xvfb-run gxargs genv gnice gnohup gtime
    bundle bunx cargo conda devbox direnv docker dotenv flox hatch just make mamba micromamba mise nerdctl nix nix-shell
    npm npx kubectl pdm pipenv pipx pixi pnpm podman poetry rye tox nox uv uvx yarn
    """)
SHELLS: Final = _set("sh bash dash zsh ksh ksh93 mksh ash rbash yash fish csh tcsh pwsh")
# Programs that append words from their standard input.
APPENDING: Final = frozenset({"xargs", "gxargs", "parallel"})

# The options of `git` itself, before its command, whose value is the next word.
_GIT_VALUES: Final = _set(
    "-C -c --git-dir --work-tree --namespace --config-env --super-prefix --attr-source --shallow-file"
)
# The commands of git that run a command from their arguments.
_GIT_RUNNERS: Final = _set("submodule bisect rebase filter-branch difftool mergetool")

# Options that write files or run programs. A short option counts within a cluster, a long one also abbreviated.
_RISKY: Final[Mapping[str, tuple[str, ...]]] = {
    "git": (
        *(
            "--output",
            "--output-directory",
            "--exec",
            "--exec-path",
            "--config-env",
            "--ext-diff",
            "--template",
        ),
        *("--upload-pack", "--receive-pack", "--open-files-in-pager", "--extcmd"),
    ),
    "find": ("-exec", "-execdir", "-ok", "-okdir", "-delete", "-fprint", "-fprint0", "-fprintf", "-fls"),
    "fd": ("-x", "-X", "--exec", "--exec-batch"),
    "fdfind": ("-x", "-X", "--exec", "--exec-batch"),
    "rg": ("--pre", "--hostname-bin"),
    "sort": ("-o", "--output", "--compress-program"),
    "tree": ("-o",),
    "sed": ("-i", "--in-place"),
    "gsed": ("-i", "--in-place"),
    "yq": ("-i", "--inplace"),
    "awk": ("-i", "-f", "--include", "--file"),
    "gawk": (
        "-i",
        "-f",
        "-p",
        "-d",
        "-o",
        "--include",
        "--file",
        "--profile",
        "--dump-variables",
        "--pretty-print",
    ),
    "tar": (
        *("-I", "--use-compress-program", "--to-command", "--checkpoint-action", "-F", "--info-script"),
        *("--new-volume-script", "--rsh-command"),
    ),
    "curl": (
        *(
            "-o",
            "-O",
            "--output",
            "--output-dir",
            "--remote-name",
            "--remote-name-all",
            "-K",
            "--config",
            "-D",
        ),
        *(
            "--dump-header",
            "-c",
            "--cookie-jar",
            "--trace",
            "--trace-ascii",
            "--stderr",
            "--etag-save",
            "--hsts",
        ),
        *("--alt-svc", "--libcurl"),
    ),
    "wget": (
        *(
            "-O",
            "--output-document",
            "-o",
            "--output-file",
            "-a",
            "--append-output",
            "-P",
            "--directory-prefix",
        ),
        *("--use-askpass", "-e", "--execute", "--config", "--save-cookies"),
    ),
    "rsync": ("-e", "--rsh", "--rsync-path", "--log-file"),
    "man": ("-P", "--pager", "-H", "--html"),
    "less": ("-o", "-O", "--log-file", "--LOG-FILE"),
    "npm": ("--script-shell", "--node-options"),
    "time": ("-o", "--output"),
}
# Short options of git's commands that do so; before the command, it is -c.
_GIT_SHORT: Final[Mapping[str, str]] = {"rebase": "-x", "grep": "-O", "format-patch": "-o", "archive": "-o"}
# A text with nothing in it that a shell would interpret.
_NAME: Final = re.compile(r"[\w./:@%+,-]*")
# Programs whose long options start with one dash, so that single letters are not looked for in them.
_WORDY: Final = frozenset({"find"})


def program(word: Word) -> str | None:
    """Returns the name of the program that a command's first word runs; None if only known at run time."""
    name = word.text.rpartition("/")[2]
    if word.value is None and (word.glob or not name or set("$`<>(") & set(name)):
        return None
    return name.casefold()


def takes_value(program_name: str | None, option: str) -> bool | None:
    """Returns whether the word after `option` is its value; None if that is not known."""
    if "=" in option or option == "--":
        return False
    if program_name == "git":
        return option in _GIT_VALUES
    return None


def runs_arguments(command: Command) -> bool:
    """Returns whether the command runs another that is among its arguments."""
    name = program(command.words[0])
    if name == "git":
        return any(word.text in _GIT_RUNNERS for word in command.words[1:])
    return name is not None and (name in RUNNERS or name in SHELLS)


def reads_script(command: Command) -> bool:
    """Returns whether the command is a shell that runs what it reads from its standard input."""
    name = program(command.words[0]) if command.words else None
    arguments = [word.text for word in command.words[1:]]
    if name == "ssh":
        return bool(command.input)
    return name in SHELLS and (
        all(text.startswith(("-", "+")) and "c" not in text for text in arguments)
        or not {"-s", "-", "/dev/stdin"}.isdisjoint(arguments)
        or any(text.startswith("<(") for text in arguments)
    )


def texts(command: Command) -> Iterator[tuple[str, bool]]:  # noqa: C901 (a list of cases)
    """Yields the arguments that may be shell commands, and whether each surely is one."""
    if not command.words:
        return
    name = program(command.words[0])
    if name == "git":
        for option, word in zip(command.words, command.words[1:], strict=False):
            key, _, value = word.text.partition("=")
            if option.text in {"-c", "--config-env"} and value:
                yield value.removeprefix("!"), False
                if key.lower().startswith("alias."):
                    yield f"git {value}", False
    if not runs_arguments(command):
        return
    before = ""
    for word in command.words[1:]:
        text = word.text
        if not _NAME.fullmatch(text):
            sure = name == "eval" or (name in SHELLS and before.startswith("-") and "c" in before)
            yield text, sure
            if "=" in text:
                yield text.partition("=")[2], False
            if text.startswith("-"):
                yield text[2:], False
        before = text
    if name in {"eval", "ssh", "watch"}:
        yield " ".join(word.text for word in command.words[1:]), name == "eval"


def risky_options(command: Command) -> Iterator[str]:
    """Yields the options in the command that write files or run programs, and words that may become one."""
    name = program(command.words[0]) if command.words else None
    options = _RISKY.get(name or "", ())
    begin = _git_command(command.words) if name == "git" else 0
    for place, word in enumerate(command.words[1:] if options else (), 1):
        if place == begin:
            options += (_GIT_SHORT[word.text],) if word.text in _GIT_SHORT else ()
        elif place < begin and word.text.startswith("-c"):
            yield "-c"
        if word.text == "--":
            return
        if word.glob and word.text[:1] in {"-", "*", "?", "[", "{"}:
            yield word.source
        elif any(_is(word.text, option, wordy=name in _WORDY) for option in options):
            yield word.text.partition("=")[0]


def _git_command(words: Sequence[Word]) -> int:
    """Returns the place of the command of git, after its own options."""
    place = 1
    while place < len(words) and words[place].text.startswith("-"):
        place += 2 if takes_value("git", words[place].text) else 1
    return place


def _is(text: str, option: str, *, wordy: bool) -> bool:
    given = text.partition("=")[0]
    if wordy:
        return text == option
    if option.startswith("--"):
        return len(given) > 2 and option.startswith(given)
    return text.startswith("-") and not text.startswith("--") and option[1] in text[1:]
