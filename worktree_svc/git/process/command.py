"""Runs git; no other module does.

Every command runs with the same settings on every machine, runs no hook and never prompts. Once the repository is known,
git gets its path: it never finds another one by walking upwards from a folder that an agent has changed.
"""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple, Self, TypeVar

from heddle import errors, pb, urls
from worktree_svc.git.process import (
    inherited_files,
    loose_objects,
    quarantine,
    remote_access,
    stopping,
    waiting_processes,
)
from worktree_svc.git.process.environment import ENVIRONMENT
from worktree_svc.git.process.processes import (
    CatFile,
    Conversation,
    ConversationEndedError,
    DiffTree,
    ObjectInfo,
    Process,
    RefTransactions,
    communicate,
)
from worktree_svc.git.process.waiting_processes import GitProcess, Key, WaitingProcesses

Answer = TypeVar("Answer")
AnyConversation = TypeVar("AnyConversation", bound=Conversation)

# Seconds after which a git process is killed: an agent's filter or pipe may never end.
LONGEST_SECONDS = 600.0

# The prefix of temporary folders. They are in the service's own git folders, where the next service finds the
# folders of a killed service.
SCRATCH: Final = "scratch-"

# The prefix of folders next to a project's objects. git gc knows "tmp_objdir-" and removes old ones.
QUARANTINE: Final = "tmp_objdir-heddle-"

_ENVIRONMENT: Final = {key.encode(): value.encode() for key, value in ENVIRONMENT.items()}

_NO_SPACE: Final = ("No space left on device", "Disk quota exceeded", "Out of diskspace")


class Output(NamedTuple):
    """The result of a command."""

    code: int
    stdout: bytes
    stderr: str


@dataclass(frozen=True)
class Git:
    """git in one repository: an immutable value that holds nothing open except the pool of processes."""

    folder: Path
    # None: git searches for a repository from `folder` upwards.
    git_dir: Path | None = None
    work_tree: Path | None = None
    # None: the repository's own.
    index: Path | None = None
    author: tuple[str, str] | None = None
    # The folder for new objects. None: the repository's own.
    objects: Path | None = None
    # A further folder of objects to read from.
    alternate_objects: Path | None = None
    # The number of processes that write files to the worktree. None: one per core.
    writers: int | None = None
    # The time limit of each command. None: the usual one.
    seconds: float | None = None
    waiting: WaitingProcesses = field(default=waiting_processes.NONE, repr=False, compare=False)

    def at(self, work_tree: Path, *, index: Path | None = None, git_dir: Path | None = None) -> Self:
        """Returns the same git for the files in `work_tree`."""
        return replace(
            self, folder=work_tree, work_tree=work_tree, index=index, git_dir=git_dir or self.git_dir
        )

    def with_author(self, author: tuple[str, str]) -> Self:
        """Returns the same git, whose commits name `author` (name, email)."""
        return replace(self, author=author)

    def sharing_cores(self, count: int) -> Self:
        """Returns the same git with its share of the cores, for `count` simultaneous checkouts.

        More processes than cores would be slower.
        """
        return replace(self, writers=max(1, (os.cpu_count() or 1) // count))

    @contextmanager
    def with_temporary_objects(self) -> Iterator[Self]:
        """Yields the same git; removes its new objects at the end of the block."""
        if self.git_dir is None:
            raise RuntimeError("temporary objects need a known repository")
        with self._scratch(self.git_dir, SCRATCH) as git:
            yield git

    @contextmanager
    def with_batched_objects(self) -> Iterator[Self]:
        """Yields the same git.

        Moves its new objects into the repository at the end of the block, durably and at once.

        Saves time for several consecutive commands, each of which would otherwise wait for the disk. After an
        error, no object is kept.
        """
        if self.git_dir is None:
            raise RuntimeError("batched objects need a known repository")
        objects = self.git_dir / "objects"
        with self._scratch(Path(os.path.realpath(objects)), QUARANTINE) as git:
            yield git
            quarantine.migrate(git.objects or objects, objects)

    @contextmanager
    def _scratch(self, parent: Path, prefix: str) -> Iterator[Self]:
        with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as name:
            folder = Path(name)
            (folder / "info").mkdir()
            own = f"{self.git_dir}/objects\n"
            (folder / "info" / "alternates").write_text(own, errors="surrogateescape")
            yield replace(self, objects=folder)

    def text(self, *arguments: str, stdin: bytes = b"") -> str:
        """Returns what git prints, without the last newline; raises GIT_FAILED or DISK_FULL."""
        return decode(self.raw(*arguments, stdin=stdin)).removesuffix("\n")

    def items(self, *arguments: str, stdin: bytes = b"") -> list[str]:
        """Returns the items that git prints with -z; bytes that are not UTF-8 become surrogates."""
        return decode(self.raw(*arguments, stdin=stdin)).split("\0")[:-1]

    def raw(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """Returns what git prints; raises GIT_FAILED or DISK_FULL."""
        output = self.run(*arguments, stdin=stdin)
        if output.code:
            raise failure(arguments, output)
        return output.stdout

    def run(self, *arguments: str, stdin: bytes = b"", seconds: float | None = None) -> Output:
        """Returns git's output and any exit code; raises DISK_FULL, or GIT_FAILED if git takes too long."""
        with self.running(*arguments, stdin=stdin, seconds=seconds) as output:
            return output()

    @contextmanager
    def running(
        self, *arguments: str, stdin: bytes = b"", seconds: float | None = None
    ) -> Iterator[Callable[[], Output]]:
        """Starts git, yields a function that waits for its output like `run`, and ends git after the block."""
        limit = self.seconds if seconds is None else seconds
        child = GitProcess(self.start(arguments, waits=bool(stdin)))
        try:
            yield lambda: _finish(child.process, arguments, stdin, limit)
        finally:
            child.end()

    def run_spare(self, *arguments: str, stdin: bytes, temporary: bool = False) -> Output:
        """Does the same as `run`, with a git process that was started in advance if one is waiting.

        Then starts the next process.

        Only for commands that read all their input before they do anything, and fail if it is truncated.
        `temporary`: the new objects are removed afterwards.
        """
        with self._spare(arguments, temporary=temporary) as process:
            return _finish(process, arguments, stdin)

    @contextmanager
    def running_spare(
        self, *arguments: str, stdin: bytes, temporary: bool = False
    ) -> Iterator[Callable[[], Output]]:
        """Runs like `run_spare`, in parallel with the block; `stdin` must be shorter than a page of memory."""
        with self._spare(arguments, temporary=temporary) as process:
            if process.stdin is None:
                raise RuntimeError("git has no pipes")
            with suppress(BrokenPipeError):  # it ended early; its exit code says why
                process.stdin.write(stdin)
                process.stdin.close()
            process.stdin = None  # otherwise `communicate` would write to it
            yield lambda: _finish(process, arguments, b"")

    @contextmanager
    def _spare(self, arguments: tuple[str, ...], *, temporary: bool = False) -> Iterator[Process]:
        def start() -> GitProcess:
            with ExitStack() as stack:
                git = stack.enter_context(self.with_temporary_objects()) if temporary else self
                return GitProcess(git.start(arguments, waits=True), stack.pop_all())

        key = (self.git_dir, (self, temporary, arguments))
        child = self.waiting.take(key, start)
        try:
            yield child.process
        finally:
            self.waiting.replace(key, child, start)

    def object_id(self, name: str) -> str | None:
        """Returns the ID of the object that `name` names, in any of git's notations; None if there is none."""
        return found.id if (found := self.info(name)) else None

    def info(self, name: str) -> ObjectInfo | None:
        """Returns the ID and size of the object that `name` names; None if there is none."""
        return self._look_up(lambda reader: reader.info(name), name)

    def content(self, name: str) -> bytes | None:
        """Returns the content of an object; None if it does not exist."""
        return self._look_up(lambda reader: reader.content(name), name)

    def size(self, object_id: str) -> int:
        """Returns the bytes of an object, which may be one of this git's new objects; raises GIT_FAILED if it does not exist."""
        size = loose_objects.size(self.objects, object_id) if self.objects else None
        if size is not None:
            return size
        # A process that waits for questions does not know the folder of new objects.
        found = replace(self, objects=None).info(object_id)
        return found.bytes if found else int(self.text("cat-file", "-s", object_id))

    def _look_up(self, question: Callable[[CatFile], Answer | None], name: str) -> Answer | None:
        if any(letter < " " for letter in name):  # not a valid name; cat-file would end the name there
            return None
        arguments = ("cat-file", "--batch-command")
        child, _, answer = self._ask(arguments, CatFile, question)
        self.waiting.give(self._key(arguments), child)
        return answer

    @contextmanager
    def diff_tree(self, older: str, newer: str, *options: str) -> Iterator[Iterator[bytes]]:
        """Yields the output of `git diff-tree` for two trees in pieces, as git prints it; raises GIT_FAILED."""
        arguments = ("diff-tree", "--stdin", *options)
        child, conversation, begun = self._ask(arguments, DiffTree, lambda git: git.begin(older, newer))
        try:
            if not begun:
                raise failure(arguments, Output(1, b"", f"it could not compare {older} and {newer}"))
            yield conversation.pieces()
        except ConversationEndedError as error:
            raise _conversation_ended(arguments, conversation) from error
        finally:
            if conversation.done:
                self.waiting.give(self._key(arguments), child)
            else:
                child.end()

    def change_refs(self, *arguments: str, lines: str) -> Output:
        """Carries out a transaction with a waiting `git update-ref`; returns its error with exit code 1 if it fails."""
        key = self._key(arguments)
        child = self.waiting.take(key, lambda: GitProcess(self.start(arguments, waits=True)))
        transactions = RefTransactions(child.process, stopping.seconds_for(arguments, LONGEST_SECONDS))
        has_ended = False
        with stopping.covered(child.process, arguments):
            try:
                transactions.commit(lines)
            except ConversationEndedError:
                has_ended = True
                child.end()
            except BaseException:
                child.end()
                raise
        if not has_ended:
            self.waiting.give(key, child)
            return Output(0, b"", "")
        if transactions.timed_out:
            raise stopping.took_too_long("update-ref", "git update-ref", stopping.QUICK_SECONDS)
        return Output(1, b"", transactions.complaint or "it ended early")

    def _ask(
        self,
        arguments: tuple[str, ...],
        kind: Callable[[Process, float], AnyConversation],
        question: Callable[[AnyConversation], Answer],
    ) -> tuple[GitProcess, AnyConversation, Answer]:
        """Returns a git process that can answer more questions, and its first answer.

        The caller gives back or ends it.
        """

        def start() -> GitProcess:
            return GitProcess(self.start(arguments, waits=True))

        child = self.waiting.take(self._key(arguments), start)
        for last in (False, True):
            conversation = kind(child.process, LONGEST_SECONDS)
            try:
                return child, conversation, question(conversation)
            except ConversationEndedError as error:
                child.end()
                if last:
                    raise _conversation_ended(arguments, conversation) from error
                # A waiting process may have been killed meanwhile, for example when the system ran out of
                # memory.
                child = start()
            except BaseException:
                child.end()
                raise
        raise AssertionError

    def _key(self, arguments: tuple[str, ...]) -> Key:
        return self.git_dir, (self, arguments)

    def start(self, arguments: Sequence[str], *, waits: bool = False) -> Process:
        """Starts git; if `waits`, its input is a pipe, otherwise it has no input."""
        return subprocess.Popen(
            self._command(arguments),
            stdin=subprocess.PIPE if waits else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=remote_access.with_access(self.environment(), arguments),
            pass_fds=inherited_files.shared(),
            # git gets its own process group, so its child processes can be ended with it.
            start_new_session=True,
        )

    def _command(self, arguments: Sequence[str]) -> list[str]:
        command = ["git", "-C", str(self.folder)]
        if self.git_dir:
            command.append(f"--git-dir={self.git_dir}")
        if self.work_tree:
            command.append(f"--work-tree={self.work_tree}")
        if self.objects:
            command += ["-c", "core.fsync=none"]
        if self.writers:
            command += ["-c", f"checkout.workers={self.writers}"]
        return [*command, *arguments]

    def environment(self) -> dict[bytes, bytes]:
        """Returns the environment of its processes."""
        # As bytes: for each of many processes, a hundred variables would be decoded and encoded again.
        environment = {**os.environb, **_ENVIRONMENT}
        if self.index:
            environment[b"GIT_INDEX_FILE"] = os.fsencode(self.index)
        if self.objects:
            environment[b"GIT_OBJECT_DIRECTORY"] = os.fsencode(self.objects)
        if self.alternate_objects:
            environment[b"GIT_ALTERNATE_OBJECT_DIRECTORIES"] = os.fsencode(self.alternate_objects)
        if self.author:
            name, email = map(os.fsencode, self.author)
            environment |= {b"GIT_AUTHOR_NAME": name, b"GIT_AUTHOR_EMAIL": email}
        return environment


def _finish(process: Process, arguments: Sequence[str], stdin: bytes, seconds: float | None = None) -> Output:
    """Writes git's input and waits for its end; raises DISK_FULL, or GIT_FAILED after `seconds` or its usual limit."""
    limit = stopping.seconds_for(arguments, LONGEST_SECONDS) if seconds is None else seconds
    try:
        with stopping.covered(process, arguments):
            stdout, stderr = communicate(process, stdin, limit)
    except subprocess.TimeoutExpired:
        command = readable(" ".join(["git", *arguments]))
        raise stopping.took_too_long(arguments[0], command, limit) from None
    output = Output(process.returncode, stdout, stderr.decode(errors="replace"))
    if output.code and any(sign in output.stderr for sign in _NO_SPACE):
        raise failure(arguments, output)
    return output


def _conversation_ended(arguments: Sequence[str], conversation: Conversation) -> errors.HeddleError:
    return failure(arguments, Output(1, b"", conversation.complaint or "it ended early"))


def decode(output: bytes) -> str:
    """Decodes bytes so that `encode` restores them exactly, because file names may not be UTF-8."""
    return output.decode(errors="surrogateescape")


def encode(text: str) -> bytes:
    """Returns the original bytes of text from `decode`."""
    return text.encode(errors="surrogateescape")


def readable(text: str) -> str:
    """Returns `text` with everything that is not valid UTF-8 replaced, for a message."""
    return encode(text).decode(errors="replace")


def failure(arguments: Sequence[str], output: Output) -> errors.HeddleError:
    """Returns the error for a command that failed: DISK_FULL if that is the cause, otherwise GIT_FAILED."""
    said = urls.redacted(readable(output.stderr.strip())) or f"exit code {output.code}"
    command = readable(" ".join(["git", *arguments]))
    if any(sign in said for sign in _NO_SPACE):
        return errors.HeddleError(
            pb.ERROR_REASON_DISK_FULL,
            f"git ran out of disk space: {said}. Free some, then try again; nothing was lost.",
            command=command,
        )
    return errors.HeddleError(
        pb.ERROR_REASON_GIT_FAILED, f"git {arguments[0]} failed: {said}", command=command
    )
