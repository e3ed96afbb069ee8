"""A project: a git repository on this disk, and the conditions for working on it."""

import difflib
import hashlib
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from heddle import errors, pb, urls
from heddle.files.worktree_paths import git_folder_of, read_record
from worktree_svc.git import refs, user_revisions, user_settings
from worktree_svc.git.private_folders import Location, PrivateFolders
from worktree_svc.git.process import waiting_processes
from worktree_svc.git.process.command import Git, decode, readable
from worktree_svc.git.process.environment import EMAIL, NAME
from worktree_svc.git.process.waiting_processes import WaitingProcesses

# Branch names that are valid for git without asking it.
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*")

# The beginning of a revision that may be a branch name.
_BRANCH_OF: Final = re.compile(r"(?:(?!@\{)[^\x00-\x20\x7f~^:?*\[\\])+")
_COMMIT_ID: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Project:
    """A repository: `top` is the path that the user names, `common` the git folder that all worktrees share."""

    top: Path
    common: Path
    # The git folder of the checkout at `top`: `common`, except in a linked worktree.
    git_dir: Path
    # The service's own git folder, with the same objects and refs.
    private: Path
    # The folders of checkouts that the operator lets agents change through links.
    linkable: Sequence[Path] = ()
    waiting: WaitingProcesses = field(default=waiting_processes.NONE, repr=False, compare=False)

    @property
    def bare(self) -> bool:
        return self.top.resolve() == self.common

    @property
    def git(self) -> Git:
        """Git for the repository without a worktree.

        Runs no program that the repository's configuration names.
        """
        return Git(self.private, git_dir=self.private, waiting=self.waiting)

    @property
    def exposed_git(self) -> Git:
        """Git with the repository's own configuration; use it only to read that configuration."""
        return Git(self.common, git_dir=self.common)

    @property
    def cache(self) -> Path:
        """The folder of caches that all worktrees of the project on this disk may share."""
        return self.private.parent.with_name("caches") / self.private.name

    def author(self) -> tuple[str, str]:
        """Returns the name and email from the repository's or the user's configuration, or Heddle's own."""
        settings = user_settings.of(self.common)
        name, email = (readable(settings.get(key, "")) for key in ("user.name", "user.email"))
        return (name, email) if name and email else (NAME, EMAIL)


def find(folders: PrivateFolders, path: str) -> Project:
    """Returns the repository that contains `path`, or the mirror of that URL; raises INVALID_FIELD or NOT_A_REPOSITORY."""
    if urls.is_url(path):
        path = str(mirror_of(folders, path))
    folder = Path(path)
    if "\0" in path:
        raise errors.invalid_field("project", "it contains a zero byte")
    if not folder.is_absolute():
        raise errors.invalid_field(
            "project", f"{path!r} is not an absolute path; write it from the root, for example /home/me/app"
        )
    if "\n" in path:
        raise errors.invalid_field(
            "project", f"{path!r} contains a line break; rename the folder, or use a link to it"
        )
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist on this worker's disk"
        raise _not_a_repository(path, f"{path} {what}. Name the folder of a git repository.")
    location = folders.remembered(folder)
    if location is None:
        location = _locate(path)
        # Only the repository's top folder is cached, because another repository may appear below it.
        if str(location.top) == path:
            folders.remember(location)
    return Project(*location, folders.of(location.common), folders.linkable, folders.waiting)


def mirror_of(folders: PrivateFolders, url: str) -> Path:
    """Returns the path of the mirror of a repository, whether it exists or not; raises INVALID_FIELD."""
    return folders.mirrors / f"{hashlib.sha256(urls.identity(url).encode()).hexdigest()[:16]}.git"


def _locate(path: str) -> Location:
    # Without a working tree, the last option fails after git has printed the others.
    output = Git(Path(path)).run(
        "rev-parse",
        "--path-format=absolute",
        "--git-common-dir",
        "--absolute-git-dir",
        "--is-bare-repository",
        "--show-toplevel",
    )
    # Does not use splitlines: a folder's name may contain characters that it treats as line breaks.
    common, git_dir, bare, top = (decode(output.stdout).removesuffix("\n").split("\n") + [""] * 4)[:4]
    if not bare:
        raise _not_found_by_git(path, output.stderr)
    if not top and bare == "false":
        raise _not_a_repository(path, f"{path} is inside a .git folder. Name the folder that holds it.")
    if Path(common, "reftable").is_dir():
        raise _not_a_repository(
            path,
            f"{path} keeps its branches in git's reftable format, which Heddle does not read. Convert it, then try"
            f" again: git -C {shlex.quote(path)} refs migrate --ref-format=files",
        )
    own = Path(git_dir)
    shared = own.parent.parent if own.parent.name == "worktrees" else Path(common)
    # In an epic's worktree, that is its view of the repository (git/worktree_views.py).
    if top and own == git_folder_of(Path(top)) and (record := read_record(Path(top))) and record.common:
        shared = record.common
    return Location(Path(top or git_dir), shared.resolve(), own)


def check_same(folders: PrivateFolders, project: Project, top: Path) -> None:
    """Raises INVALID_FIELD unless `top` is in the same repository."""
    if top != project.top and find(folders, str(top)).common != project.common:
        raise errors.invalid_field("project", f"the epic's worktree belongs to {top}, not to {project.top}")


def base_commit(project: Project, base_ref: str) -> str:
    """Returns the commit of `base_ref`, or of HEAD; raises EMPTY_REPOSITORY or UNKNOWN_REVISION."""
    # Some names, such as ORIG_HEAD, exist only in the checkout.
    commit = resolve(project, base_ref or "HEAD") or (
        _resolve_as_user(project, base_ref) if base_ref else None
    )
    if commit:
        return commit
    if not project.git.text("for-each-ref", "--count=1"):
        if remote := remote_of(project):
            raise errors.HeddleError(
                pb.ERROR_REASON_EMPTY_REPOSITORY,
                f"{remote} has no commit yet. Push one, then try again: git clone {shlex.quote(remote)} start &&"
                " git -C start commit --allow-empty -m Start && git -C start push origin HEAD",
                project=remote,
            )
        folder = shlex.quote(str(project.top))
        raise errors.HeddleError(
            pb.ERROR_REASON_EMPTY_REPOSITORY,
            f"{project.top} has no commit yet. Make one, then try again:"
            f" git -C {folder} commit --allow-empty -m Start",
            project=project.top,
        )
    raise unknown_revision(project, base_ref or "HEAD")


def _resolve_as_user(project: Project, revision: str) -> str | None:
    """Returns the commit that the user's own git would find with reflogs and upstreams."""
    where = {"git_dir": project.git_dir, "common": project.common, "private": project.private}
    found = user_revisions.look_up(revision, **where)
    return refs.resolve(project.git, found) if found else None


def resolve(project: Project, revision: str) -> str | None:
    """Returns the commit that `revision` refers to, in any of git's notations; None if there is none.

    HEAD refers to the checkout that the user named, which may be a linked worktree. Unlike in git, a branch
    takes precedence over a tag of the same name, because users and Heddle mean the branch.
    """
    if "@{" in revision or revision.startswith(":"):
        return _resolve_as_user(project, revision)
    found = re.match(r"(HEAD|@)(?![\w./{-])", revision)
    if found:
        head = refs.head_of(project.git, project.git_dir)
        if head is None:
            return None
        return refs.resolve(project.git, head + revision[found.end() :])
    return refs.resolve(project.git, _branch_first(project, revision))


def existing(project: Project, revision: str) -> str:
    """Returns the commit like `resolve`; raises UNKNOWN_REVISION if there is none, or if `revision` is empty."""
    commit = resolve(project, revision) if revision else None
    if commit is None:
        raise unknown_revision(project, revision)
    return commit


def _branch_first(project: Project, revision: str) -> str:
    """Returns the revision; if it begins with the name of a branch, this becomes the branch's full name."""
    begin = _BRANCH_OF.match(revision)
    if begin is None or _COMMIT_ID.fullmatch(begin[0]):
        return revision
    ref = refs.branch_ref(begin[0])
    return ref + revision[begin.end() :] if refs.read(project.git, ref)[0] else revision


def check_target(project: Project, branch: str) -> None:
    """Raises UNKNOWN_REVISION if the branch does not exist, BRANCH_CHECKED_OUT if it is checked out."""
    check_branch_name(project, "merge_into", branch)
    (commit,) = refs.read(project.git, refs.branch_ref(branch))
    if commit is None:
        raise unknown_revision(project, branch)
    check_not_checked_out(project, branch)


def check_branch_name(project: Project, field: str, branch: str) -> None:
    """Raises INVALID_FIELD if the name is not valid for a branch."""
    if _PLAIN_NAME.fullmatch(branch) and not branch.endswith("lock"):
        return
    if (
        not branch
        or "\0" in branch
        or branch.startswith("-")
        or project.git.run("check-ref-format", refs.branch_ref(branch)).code
    ):
        raise errors.invalid_field(field, f"{readable(branch)!r} is not a valid branch name")


def check_commit_id(field: str, commit: str | None) -> None:
    """Raises INVALID_FIELD if `commit` is neither a full commit ID nor None."""
    if commit is not None and not _COMMIT_ID.fullmatch(commit):
        raise errors.invalid_field(field, f"{readable(commit)!r} is not a full commit ID")


def check_not_checked_out(project: Project, branch: str, *, but: Path | None = None) -> None:
    """Raises BRANCH_CHECKED_OUT if `branch` is checked out anywhere except in the worktree at `but`."""
    found = _checkouts_on(project, refs.branch_ref(branch))
    path = next((each for each in found if but is None or each != str(but)), None)
    if path is None:
        return
    where, name = shlex.quote(readable(path)), shlex.quote(branch)
    first = f"git -C {where} config core.bare false && " if _only_says_bare(project, path) else ""
    raise errors.HeddleError(
        pb.ERROR_REASON_BRANCH_CHECKED_OUT,
        f"{branch} is checked out in {readable(path)}, whose files would no longer match the branch if it moved."
        f" Switch that checkout to another branch first ({first}git -C {where} switch --detach),"
        f" or merge yourself when the run is over (git -C {where} merge BRANCH, with {name} checked out).",
        branch=branch,
        path=readable(path),
    )


def _checkouts_on(project: Project, ref: str) -> Iterator[str]:
    """Yields the paths of the checkouts of `ref`.

    Does not use `git worktree list`, which fails while another process adds a worktree, because one of its
    files is still empty.
    """
    common = project.common
    if refs.checked_out_branch(common, common) == ref and _has_files(project):
        yield str(common.parent if common.name == ".git" else common)
    for git_dir in sorted((common / "worktrees").glob("*")):
        with suppress(OSError):  # it is being added or removed right now
            if refs.checked_out_branch(git_dir, common) == ref:
                pointer = (git_dir / "gitdir").read_text(errors="surrogateescape").strip()
                # A newer git may write a path relative to this folder.
                yield os.path.normpath(git_dir / pointer).removesuffix("/.git")


def _only_says_bare(project: Project, path: str) -> bool:
    """Returns whether `path` is the repository's main worktree, although the configuration says "bare"."""
    asked = ("config", "--type=bool", "--default=false", "--get", "core.bare")
    return path == str(project.common.parent) and project.exposed_git.text(*asked) == "true"


def _has_files(project: Project) -> bool:
    """Returns whether the repository has files in a main worktree, regardless of its HEAD.

    An index counts too: some users set core.bare temporarily and keep the files.
    """
    if (project.common / "index").exists():
        return True
    asked = ("config", "--type=bool", "--default=false", "--get", "core.bare")
    return project.exposed_git.text(*asked) != "true"


def unknown_revision(project: Project, revision: str) -> errors.HeddleError:
    """Returns the error for a revision that does not exist, with similar names."""
    names = project.git.text(
        "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes"
    )
    shown = readable(revision)
    near = difflib.get_close_matches(shown, readable(names).splitlines(), n=3)
    if f"origin/{shown}" in names.splitlines():
        advice = f"origin/{shown} exists: git branch {shlex.quote(shown)} {shlex.quote(f'origin/{shown}')}"
    elif near:
        advice = f"did you mean {' or '.join(near)}?"
    else:
        advice = f"git -C {shlex.quote(str(project.top))} branch --all lists the existing branches."
    return errors.HeddleError(
        pb.ERROR_REASON_UNKNOWN_REVISION,
        f"{shown!r} is not a branch, tag or commit of {project.top}; {advice}",
        revision=shown,
    )


def remote_unavailable(project: Project, why: str) -> errors.HeddleError:
    """Returns the error for work that must be at the project's remote before it counts, while that cannot be reached."""
    return errors.HeddleError(
        pb.ERROR_REASON_PROJECT_UNAVAILABLE,
        f"the remote does not take accepted work now: {why.rstrip('.')}. Work continues by itself once it does.",
        project=str(project.top),
    )


def is_mirror(project: Project) -> bool:
    """Returns whether the project is a clone that Heddle made of a project at a URL or on another worker."""
    mirrors = project.private.parent.with_name("mirrors")
    return project.top.parent.resolve() == mirrors.resolve()


def remote_of(project: Project) -> str:
    """Returns the URL that this repository mirrors, without a password; empty for a user's own repository."""
    if not is_mirror(project):
        return ""
    return urls.redacted(project.git.run("config", "remote.origin.url").stdout.decode().strip())


def _not_found_by_git(path: str, said: str) -> errors.HeddleError:
    if "dubious ownership" in said:
        advice = f"allow it: git config --global --add safe.directory {shlex.quote(path)}"
        return _not_a_repository(
            path, f"git does not trust {path}: it belongs to another user. To use it, {advice}"
        )
    quoted = shlex.quote(path)
    if said.strip() and "not a git repository" not in said:
        words = " ".join(readable(said).split())
        return _not_a_repository(
            path,
            f"git cannot use the repository at {path}: {words.rstrip('.')}. Fix its configuration, or upgrade git on"
            f" the worker, until this command works there: git -C {quoted} status",
        )
    return _not_a_repository(
        path,
        f"{path} is not in a git repository. Name one, or create one there:"
        f" git -C {quoted} init && git -C {quoted} add --all && git -C {quoted} commit -m Start",
    )


def _not_a_repository(path: str, message: str) -> errors.HeddleError:
    return errors.HeddleError(pb.ERROR_REASON_NOT_A_REPOSITORY, message, project=path)
