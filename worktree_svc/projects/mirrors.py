"""Mirrors projects given by URL, or on another worker: clones them once, fetches before each run, and pushes after each step.

HEDDLE_HOME/mirrors/HASH.git    shared by all runs on the repository

The remote's branches are refs/remotes/origin/…; refs/heads contains Heddle's own
branches and the branches that runs merge into. The remote refuses a push that is not a
fast-forward: what it has of a run's branch, or of one that a run merges into, is merged first; all
other commits stay in the mirror. Only the branch of a rewound epic is
force-pushed. The service's own git provides the credentials; they are not stored. A project on another worker is
cloned whole: agents could not fetch what is missing, because only the calls that carry a token reach it.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from heddle import errors, pb, urls
from heddle.names import EpicName, RunName
from worktree_svc.git import commit_messages, push_refusals, refs, trees
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.git.process.command import decode
from worktree_svc.projects import branch_records, known_branches, remote_refs, repository
from worktree_svc.projects.locks import RepositoryLocks
from worktree_svc.projects.repository import Project
from worktree_svc.storage import files

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# The prefix of the branches that only Heddle moves.
_OWN: Final = "heddle/"

_REMOTE: Final = "refs/remotes/origin"
_QUIETLY: Final = (*("--quiet", "--no-write-fetch-head", "--no-auto-maintenance", "--recurse-submodules=no"),)
_FETCH: Final = (
    *("fetch", "--prune", *_QUIETLY, "origin", f"+refs/heads/*:{_REMOTE}/*", "+refs/tags/*:refs/tags/*"),
)
_MAINTENANCE: Final = ("commit-graph", "loose-objects", "incremental-repack")
_MAINTENANCE_SECONDS: Final = 24 * 3600

# Seconds before each retry of a push.
PAUSES: Final = (0.5, 2.0)
# Seconds after which a push to an unresponsive remote is abandoned; the next push tries again.
_PUSH_SECONDS: Final = 60.0


class Mirrors:
    """The mirrors of one worker. Safe to use from threads."""

    def __init__(self, folders: PrivateFolders, repositories: RepositoryLocks) -> None:
        self._folders = folders
        self._repositories = repositories

    def recover(self) -> None:
        """Removes the locks that a killed service left. No other process writes to the mirrors."""
        for lock in self._folders.mirrors.glob("*.git/**/*.lock"):
            log.warning("stale_lock_removed", path=str(lock))
            files.remove(lock)

    def update(self, url: str, merge_into: str) -> str:
        """Clones the repository or fetches new commits; returns the URL that identifies it in later calls.

        Raises NOT_A_REPOSITORY. Also updates the branch `merge_into`.
        """
        folder = repository.mirror_of(self._folders, url)
        folder.mkdir(parents=True, exist_ok=True)
        with self._fetching(folder):
            if not (folder / "config").is_file():
                _make(folder, url)
            project = repository.find(self._folders, str(folder))
            _fetch(project, url)
            if merge_into:
                _follow(project, merge_into)
            _maintain(project)
        return _url(project)

    def follow(self, url: str, branch: str) -> None:
        """Updates a branch from the remote before a merge into it; does nothing for a run's own branches."""
        if urls.is_url(url) and not branch.startswith(_OWN):
            project = repository.find(self._folders, url)
            with self._fetching(project.top):
                _fetch(project, url)
                _follow(project, branch)

    def fetched_ref(self, url: str, branch: str) -> str:
        """Returns the ref of a project's branch; in a project by URL, that of the remote's branch, fetched now.

        Raises NOT_A_REPOSITORY if it cannot be fetched.
        """
        if not urls.is_url(url):
            return refs.branch_ref(branch)
        project = repository.find(self._folders, url)
        with self._fetching(project.top):
            _fetch(project, url)
        return f"{_REMOTE}/{branch}"

    def restore(self, url: str, known: Iterable[pb.KnownBranch] = ()) -> None:
        """Clones a mirror that is lost, and restores Heddle's branches in it; does nothing for a project by path.

        `known` are branches with the last commits that the scheduler knows; see `known_branches.restore`.
        """
        if not urls.is_url(url):
            return
        folder = repository.mirror_of(self._folders, url)
        if not (folder / "config").is_file():
            log.warning("mirror_lost", path=str(folder), project=urls.redacted(url))
            self.update(url, "")
        project = repository.find(self._folders, url)
        known_branches.restore(project, known, partial(self._fetching, project.top))

    def bring(self, url: str, known: Iterable[pb.KnownBranch]) -> None:
        """Fetches the commits of branches that other workers move; moves no branch. Clones a mirror that is lost."""
        if urls.is_url(url):
            self.restore(url)
            project = repository.find(self._folders, url)
            known_branches.bring_missing(project, known, partial(self._fetching, project.top))

    def bring_base(self, url: str, commit: str) -> None:
        """Fetches the commit on which an epic starts, which need not be on a branch any more; its branches too."""
        self.update(url, "")
        project = repository.find(self._folders, url)
        if not refs.has(project.git, commit):
            with self._fetching(project.top):
                project.git.run("fetch", *_QUIETLY, "origin", commit)

    def bring_run(self, url: str, run: RunName) -> None:
        """Fetches all that the remote has of a run; does nothing for a project by path."""
        if urls.is_url(url):
            project = repository.find(self._folders, url)
            known_branches.bring(project, [run], partial(self._fetching, project.top))

    def remove_old_refs(self, url: str, runs: Sequence[RunName]) -> remote_refs.Removal:
        """Removes the refs of ended runs that nothing needs from the remote; does nothing for a project by path.

        Raises NOT_A_REPOSITORY and PROJECT_UNAVAILABLE.
        """
        if not urls.is_url(url):
            return remote_refs.Removal(0, {})
        project = repository.find(self._folders, url)
        with self._fetching(project.top):
            _fetch(project, url)
        known_branches.bring(project, runs, partial(self._fetching, project.top))
        return remote_refs.remove(project, runs)

    def push(self, url: str, branches: Sequence[str], needed: str = "") -> dict[str, str]:
        """Pushes branches to the project's remote; returns the reason for each refused branch.

        The run's next push of the branch includes commits that could not be pushed. Raises PROJECT_UNAVAILABLE while the
        remote cannot be reached and `needed` is one of the branches.
        """
        if not urls.is_url(url) or not branches:
            return {}
        project = repository.find(self._folders, url)
        wanted = [ref for ref in map(refs.branch_ref, branches) if refs.read(project.git, ref)[0]]
        if not wanted:
            return {}
        refused: dict[str, str] = {}
        try:
            for pause in (*PAUSES, None):
                refused = self._push(project, wanted)
                if not refused or pause is None:
                    break
                time.sleep(pause)
        except errors.HeddleError as error:  # the remote does not answer, and one timeout is enough
            refused = dict.fromkeys(wanted, error.message)
        log.info(
            "push_failed" if refused else "pushed", project=url, branches=list(branches), refused=refused
        )
        why = refused.get(refs.branch_ref(needed))
        if why and push_refusals.is_unreachable(why):
            raise repository.remote_unavailable(project, why)
        return {ref.removeprefix(refs.branch_ref("")): said for ref, said in refused.items()}

    def _push(self, project: Project, wanted: Sequence[str]) -> dict[str, str]:
        """Returns the reason for each refused ref."""
        options = ("--porcelain", "--no-verify", "--recurse-submodules=no", "--no-follow-tags")
        specs = (f"{ref}:{ref}" for ref in wanted)
        forced = (f"--force-with-lease={ref}:{old}" for ref in wanted if (old := _rewound_from(project, ref)))
        output = project.git.run("push", *options, *forced, "origin", *specs, seconds=_PUSH_SECONDS)
        if output.code == 0:
            return {}
        refused = push_refusals.read(decode(output.stdout), urls.redacted(output.stderr), wanted)
        if any(push_refusals.is_behind(said) for said in refused.values()):
            with self._fetching(project.top):
                _fetch(project, _url(project))
                for branch in (ref.removeprefix(refs.branch_ref("")) for ref in wanted):
                    # A run's branch has other commits there if a worker was lost after it had pushed a merge.
                    if branch_records.epic_of(branch) is None:
                        _follow(project, branch)
        return refused

    def _fetching(self, folder: Path) -> AbstractContextManager[None]:
        """Allows one fetch at a time, without the repository's own lock, which new worktrees need."""
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        return self._repositories.hold(folder / "refs")


def _make(folder: Path, url: str) -> None:
    """Creates the empty mirror; writes the configuration last, because it marks the mirror as complete."""
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "info" / "exclude").touch()
    files.write_atomically(folder / "HEAD", f"ref: {_REMOTE}/HEAD\n")
    settings = {
        "core": {"repositoryformatversion": "1", "bare": "true", "filemode": "true"},
        'remote "origin"': {"url": url.replace("\\", "\\\\").replace('"', '\\"')},
    }
    if not urls.is_of_worker(url):
        settings["extensions"] = {"partialclone": "origin"}
        settings['remote "origin"'] |= {"promisor": "true", "partialclonefilter": "blob:none"}
    lines = [
        line
        for section, values in settings.items()
        for line in (f"[{section}]", *(f'\t{key} = "{value}"' for key, value in values.items()))
    ]
    files.write_atomically(folder / "config", "".join(f"{line}\n" for line in lines))


def _url(project: Project) -> str:
    return project.git.text("config", "remote.origin.url")


def _fetch(project: Project, url: str) -> None:
    if urls.identity(_url(project)) != urls.identity(url):
        raise errors.HeddleError(
            pb.ERROR_REASON_NOT_A_REPOSITORY,
            f"the mirror {project.top} points to another repository; someone changed it. Remove that folder:"
            " it is cloned again.",
            project=urls.redacted(url),
        )
    head = project.git.run("ls-remote", "--symref", "origin", "HEAD")
    output = project.git.run(*_FETCH) if head.code == 0 else head
    if output.code:
        raise errors.HeddleError(
            pb.ERROR_REASON_NOT_A_REPOSITORY,
            f"{urls.redacted(url)} cannot be fetched: {urls.redacted(output.stderr.strip())} {_advice(url)}",
            project=urls.redacted(url),
        )
    for line in head.stdout.decode(errors="replace").splitlines():
        target, _, name = line.removeprefix("ref: ").partition("\t")
        if line.startswith("ref: refs/heads/") and name == "HEAD":
            branch = target.removeprefix("refs/heads/")
            files.write_atomically(project.top / "HEAD", f"ref: {_REMOTE}/{branch}\n")


def _advice(url: str) -> str:
    if urls.is_of_worker(url):
        return "The worker that has it must be reachable at its HEDDLE_GIT_ADVERTISE from this one."
    return (
        "The worker's own git must be able to fetch it: try git ls-remote there, as the user of the service."
    )


def _follow(project: Project, branch: str) -> None:
    """Updates a local branch to the remote's commit, or merges if both have new commits."""
    repository.check_branch_name(project, "merge_into", branch)
    git, ref = project.git, refs.branch_ref(branch)
    ours, theirs = refs.read(git, ref, f"{_REMOTE}/{branch}")
    if theirs is None or ours == theirs:
        return
    if ours is None or refs.is_ancestor(git, ours, theirs):
        new = theirs
    elif refs.is_ancestor(git, theirs, ours):
        return
    else:
        ((clean, tree, names),) = trees.merged(git, [(ours, theirs)], temporary=False)
        if not clean:
            raise errors.HeddleError(
                pb.ERROR_REASON_GIT_FAILED,
                f"{branch} has new commits at the remote that conflict in {', '.join(names)} with what was merged here"
                f" and not pushed yet. Both are kept, in {project.top}: {ref} and {_REMOTE}/{branch}.",
                command="git merge-tree",
            )
        message = commit_messages.compose(f"Merge the remote's {branch}", "", {})
        author = git.with_author(project.author())
        new = author.text("commit-tree", "-p", ours, "-p", theirs, tree, stdin=message.encode())
    refs.update(git, [refs.RefUpdate(ref, new, ours or refs.ABSENT)])


def _rewound_from(project: Project, ref: str) -> str | None:
    """Returns the last seen remote commit of an epic's branch, if the epic has since been rewound from it."""
    branch = ref.removeprefix(refs.branch_ref(""))
    run, _, epic = branch.removeprefix(_OWN).partition("/epics/")
    if not (branch.startswith(_OWN) and epic):
        return None
    ours, theirs = refs.read(project.git, ref, f"{_REMOTE}/{branch}")
    if not (ours and theirs) or refs.is_ancestor(project.git, theirs, ours):
        return None
    kept = project.git.text(
        "for-each-ref", "--count=1", f"--contains={theirs}", refs.rewound_refs(EpicName(run, epic))
    )
    return theirs if kept else None


def _maintain(project: Project) -> None:
    """Runs git maintenance once a day to keep a large mirror fast.

    Never prunes, because worktrees and runs need its objects.
    """
    stamp = project.private / "maintained"
    if stamp.exists() and time.time() - stamp.stat().st_mtime < _MAINTENANCE_SECONDS:
        return
    tasks = (f"--task={task}" for task in _MAINTENANCE)
    output = project.git.run("maintenance", "run", "--quiet", *tasks)
    if output.code:
        log.warning("maintenance_failed", path=str(project.top), error=output.stderr.strip())
    stamp.touch()
