"""Stores the state of each worktree in one small file next to it.

HEDDLE_HOME/worktrees/RUN/EPIC/        the worktree
HEDDLE_HOME/worktrees/RUN/EPIC.json    its state
HEDDLE_HOME/worktrees/RUN/EPIC.index   git's index when the worktree was last clean; not visible to agents
HEDDLE_HOME/worktrees/RUN/EPIC.git/    the repository that the agent's git uses: git/worktree_views.py
HEDDLE_HOME/worktrees/RUN/EPIC.exclude patterns of files copied and linked into it, never committed
HEDDLE_HOME/worktrees/RUN/EPIC.closed  exists if files in it belong to another user and could not be kept in git
HEDDLE_HOME/aside/RUN-EPIC-N/          a worktree with such files that was moved out of the way
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import structlog

from heddle import errors, pb
from heddle.names import AttemptName, EpicName
from worktree_svc.storage import files

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True)
class WorktreePaths:
    """The paths of an epic's worktree and of the files next to it."""

    epic: EpicName
    worktree: Path

    @property
    def state(self) -> Path:
        return self.worktree.with_name(f"{self.epic.epic}.json")

    @property
    def index(self) -> Path:
        return self.worktree.with_name(f"{self.epic.epic}.index")

    @property
    def next_index(self) -> Path:
        """The index that is in use while the worktree's content is being written to the repository."""
        return self.worktree.with_name(f"{self.epic.epic}.index.new")

    @property
    def exclude(self) -> Path:
        return self.worktree.with_name(f"{self.epic.epic}.exclude")

    @property
    def closed(self) -> Path:
        return self.worktree.with_name(f"{self.epic.epic}.closed")

    @property
    def replaced(self) -> Path:
        """A folder for repositories that an agent created in place of the worktree's .git file."""
        return self.worktree.with_name(f"{self.epic.epic}.replaced")


class ChangesFound(NamedTuple):
    """Changes in a worktree that no attempt made: the ref that keeps them, and the commit they are based on."""

    ref: str
    head: str
    # The last attempt that had ended when the changes were made. Empty: unknown.
    after: str


class Lease(NamedTuple):
    """The resources reserved for an epic: a slot, numbered from 1, and consecutive ports."""

    slot: int
    ports: tuple[int, ...]


class TakenBase(NamedTuple):
    """What an epic took in of the project's branch; see BaseTakenIn in worktree_service.proto."""

    commit: str = ""
    commit_count: int = 0
    problem: str = ""
    conflicts: bool = False


@dataclass(frozen=True)
class WorktreeState:
    """One worktree, and who may work in it.

    `newest` contains the highest attempt number of each task that requested the
    worktree. `claim` is the attempt that requested it last; all other attempts are
    stale from that moment. `owner` is the attempt whose work is in the worktree. The
    claiming attempt becomes the owner once the previous owner's work has been kept
    and removed, or has been transferred to it (`continued`).
    `cleaning`: the work has been kept, and the worktree may contain only part of it.
    `work_saved`: the owner's work was committed or kept, so the owner did not make
    any further change.
    """

    epic: EpicName
    # The top folder of the repository, as the user named it.
    project: Path
    # The commit at which the epic's branch began, or to which it was last rewound.
    start: str
    # The epic's last accepted commit, or `start`.
    head: str
    claim: AttemptName | None = None
    owner: AttemptName | None = None
    newest: dict[str, int] = field(default_factory=dict)
    cleaning: bool = False
    # True: the worktree contains changes to remove.
    dirty: bool = False
    work_saved: bool = False
    # Changes that the worktree contained when the claiming attempt requested it. None: there were none.
    found: ChangesFound | None = None
    # The owner's commit that the remote is asked to accept. Empty: none.
    offered: str = ""
    # The commit that the owner merges into the epic. Empty: no merge.
    merging: str = ""
    continued: bool = False
    # None: the epic has no lease yet, or lost it because two leases overlapped.
    lease: Lease | None = None
    # Changes whenever setup has to run again, because the worktree is created or setup's files are removed.
    # Saved before that begins.
    incarnation: str = ""
    # The worktree's commit at that time. Setup's changes to files that git does not ignore are not in this
    # commit or its ancestors.
    set_up_at: str = ""
    # When the worktree was created, in seconds since 1970. 0: unknown.
    made_at: int = 0
    # The archive that was restored into the worktree and that no attempt has used yet. Empty: none.
    restored: str = ""
    # The submodules that could not be filled for the owner: path and reason.
    unfilled: tuple[tuple[str, str], ...] = ()
    # The git folder of the project's repository. None: saved by an earlier version.
    common: Path | None = None
    # The targets of links in the worktree; see heddle/files/worktree_paths.py.
    shared: tuple[Path, ...] = ()
    # The commit at which the epic's branch began. Empty: saved by an earlier version.
    origin: str = ""
    # What was taken in of the project's branch for the owner. None: nothing was asked for.
    base: TakenBase | None = None

    @property
    def began_at(self) -> str:
        return self.origin or self.start

    def with_provisions(self, common: Path, shared: Iterable[Path]) -> Self:
        """Returns the state with what agent_svc reads from it."""
        return replace(self, common=common, shared=tuple(shared))

    def claimed_by(self, attempt: AttemptName) -> Self:
        """Returns the state after `attempt` claims the worktree; raises STALE_ATTEMPT."""
        newest = self.newest.get(attempt.task, 0)
        if attempt.number < newest or (attempt.number == newest and self.claim != attempt):
            raise self.stale(attempt)
        return replace(self, claim=attempt, newest={**self.newest, attempt.task: attempt.number})

    def never_had(self, attempt: AttemptName) -> bool:
        """Returns whether the worktree was never ready for `attempt`: no request, or an error."""
        return attempt.number > self.newest.get(attempt.task, 0) or (
            self.claim == attempt and self.owner != attempt
        )

    def check_owner(self, attempt: AttemptName) -> None:
        """Raises STALE_ATTEMPT unless `attempt` owns the worktree and no other attempt has claimed it."""
        if not self.claim == self.owner == attempt:
            raise self.stale(attempt)

    def stale(self, attempt: AttemptName) -> errors.HeddleError:
        """Returns the error for a call from an attempt that does not own the worktree."""
        return errors.HeddleError(
            pb.ERROR_REASON_STALE_ATTEMPT,
            f"{attempt} no longer owns the worktree of {self.epic}: {self.claim} does."
            " Nothing was changed; drop this attempt.",
            attempt=self.claim,
        )

    @property
    def branch(self) -> str:
        return self.epic.branch


class WorktreeStore:
    """The state files of every worktree below one folder."""

    def __init__(self, folder: Path) -> None:
        # git writes real paths into its own files, and the paths here must compare equal to them.
        self.folder = folder.resolve()

    def paths(self, epic: EpicName) -> WorktreePaths:
        """Returns the paths of the worktree of `epic`, whether it exists or not."""
        return WorktreePaths(epic, self.folder / epic.run / epic.epic)

    def load(self, paths: WorktreePaths) -> WorktreeState | None:
        """Returns the state of an epic's worktree; None if the worktree was never created or was removed."""
        try:
            fields = json.loads(paths.state.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return WorktreeState(
            epic=EpicName.parse(fields["epic"]),
            project=Path(fields["project"]),
            start=fields["start"],
            head=fields["head"],
            claim=_attempt(fields["claim"]),
            owner=_attempt(fields["owner"]),
            newest=fields["newest"],
            cleaning=fields["cleaning"],
            dirty=fields.get("dirty", False),
            work_saved=fields.get("settled", False),
            found=ChangesFound(*fields["found"]) if fields.get("found") else None,
            offered=fields.get("offered", ""),
            merging=fields.get("merging", ""),
            continued=fields.get("continued", False),
            lease=_lease(fields.get("lease")),
            incarnation=fields.get("incarnation", ""),
            set_up_at=fields.get("set_up_at", fields["start"]),
            made_at=fields.get("made_at", 0),
            restored=fields.get("restored", ""),
            unfilled=tuple((path, reason) for path, reason in fields.get("unfilled", ())),
            common=Path(fields["common"]) if fields.get("common") else None,
            shared=tuple(map(Path, fields.get("shared", ()))),
            origin=fields.get("origin", ""),
            base=TakenBase(*fields["base"]) if fields.get("base") else None,
        )

    def save(self, paths: WorktreePaths, state: WorktreeState) -> WorktreeState:
        """Writes the state durably and returns it."""
        paths.state.parent.mkdir(parents=True, exist_ok=True)
        fields = {
            "epic": str(state.epic),
            "project": str(state.project),
            "start": state.start,
            "head": state.head,
            "claim": str(state.claim or ""),
            "owner": str(state.owner or ""),
            "newest": state.newest,
            "cleaning": state.cleaning,
            "dirty": state.dirty,
            "settled": state.work_saved,
            "found": state.found,
            "offered": state.offered,
            "merging": state.merging,
            "continued": state.continued,
            "lease": state.lease and {"slot": state.lease.slot, "ports": state.lease.ports},
            "incarnation": state.incarnation,
            "set_up_at": state.set_up_at,
            "made_at": state.made_at,
            "restored": state.restored,
            "unfilled": state.unfilled,
            "common": str(state.common or ""),
            "shared": [str(path) for path in state.shared],
            "origin": state.origin,
            "base": state.base,
        }
        files.write_atomically(paths.state, json.dumps(fields, indent=1))
        return state

    def all(self) -> Iterator[tuple[WorktreePaths, WorktreeState]]:
        """Yields every worktree, ordered by the epic's name."""
        for path in sorted(self.folder.glob("*/*.json")):
            paths = self.paths(EpicName(path.parent.name, path.stem))
            try:
                state = self.load(paths)
            except (ValueError, KeyError, errors.HeddleError) as error:
                log.warning("state_unreadable", path=str(path), error=str(error))
                continue
            if state:
                yield paths, state


def _lease(fields: dict[str, Any] | None) -> Lease | None:
    return Lease(fields["slot"], tuple(fields["ports"])) if fields else None


def _attempt(name: str) -> AttemptName | None:
    return AttemptName.parse(name) if name else None
