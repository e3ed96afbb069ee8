"""The state of a fake worker, and the rules that both of its services follow."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from heddle import errors, pb
from heddle.names import AttemptName
from heddle.testing.fake_session import FakeSession, Play, succeed


@dataclass
class FakeState:
    """The state of one fake worker. Tests may change fields while it serves; `play` runs the sessions."""

    slots: int = 8
    play: Play = succeed
    # The agents that it can start.
    programs: tuple[str, ...] = ("scripted", "command:")
    # Whether it opens terminals, which show what is typed.
    terminals: bool = False
    # The agents that do not report their usage while they work.
    late_programs: tuple[str, ...] = ("command:",)
    # The agents that respect max_turns.
    turn_limited_programs: tuple[str, ...] = ()
    # Returned by InspectProject.
    dirty_files: list[str] = field(default_factory=list)
    project_file: pb.ProjectFile | None = None
    # Why the project is not served to other workers.
    not_served: str = ""
    # Returned by EnsureWorktree. None: every submodule is filled.
    submodules_not_filled: pb.SubmodulesNotFilled | None = None
    # What the teardown of an epic reports.
    teardown_end: pb.CheckFinished = field(default_factory=lambda: pb.CheckFinished(ok=True))
    # Keys of epics whose setup fails.
    failing_setups: set[str] = field(default_factory=set)
    # By branch: why the remote rejects its push.
    refused: dict[str, str] = field(default_factory=dict)
    # Branches whose merge conflicts.
    conflicting: set[str] = field(default_factory=set)
    # The project's branch and its newest commit. Empty: it has not moved.
    base_branch: str = ""
    base_tip: str = ""
    # Keys of epics with which that commit conflicts.
    out_of_sync: set[str] = field(default_factory=set)
    # Given the branches of an open merge: returns whether its checks pass.
    merge_is_good: Callable[[list[str]], bool] = lambda _branches: True
    # The conflicts that PredictConflicts returns, if they are between requested branches.
    foreseen: list[pb.ConflictingPair] = field(default_factory=list)
    # By epic key: the changed paths that PredictConflicts reports.
    written: dict[str, list[str]] = field(default_factory=dict)
    # Called with (method, request) before each call that changes something, or fetches an artifact; may raise.
    before: Callable[[str, Any], None] = lambda _method, _request: None
    sessions: dict[str, FakeSession] = field(default_factory=dict)
    # Every request that was served, in order: (method, request).
    calls: list[tuple[str, Any]] = field(default_factory=list)
    # By epic name.
    worktrees: dict[str, pb.Worktree] = field(default_factory=dict)
    # By branch: the commits on it, oldest first, each with the attempt that made it.
    commits: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    # By attempt: the commits that were removed from its branch when it started, oldest first.
    rewound: dict[str, list[str]] = field(default_factory=dict)
    # By target branch.
    merged: dict[str, list[str]] = field(default_factory=dict)
    # By run: the branches of its open merge.
    open_merges: dict[str, list[str]] = field(default_factory=dict)
    # By attempt: the commit whose conflict it resolves.
    resolving: dict[str, str] = field(default_factory=dict)
    # Names of epics whose worktrees contain something that was not accepted.
    dirty: set[str] = field(default_factory=set)
    # By epic name: the archive commit of its worktree.
    archived: dict[str, str] = field(default_factory=dict)
    # The disk usage of each worktree and of each session.
    worktree_bytes: int = 1 << 20
    session_bytes: int = 1 << 10
    # Why the worker accepts no new work; empty if it does.
    full: str = ""
    # The most sessions that ran at the same time.
    peak: int = 0
    epoch: int = 0
    # The number of worktrees created so far.
    made: int = 0

    @property
    def live(self) -> list[FakeSession]:
        """The running sessions."""
        return [session for session in self.sessions.values() if session.result is None]

    def called(self, method: str) -> list[Any]:
        """Returns the requests of one method, in order."""
        return [request for name, request in self.calls if name == method]

    def changing(self, method: str, request: Any) -> None:
        """Records a mutating call; raises STALE_EPOCH for a deposed leader."""
        self.calls.append((method, request))
        self.check_epoch(request.epoch)
        self.epoch = request.epoch
        self.before(method, request)

    def take_in(self, epic: str, request: pb.EnsureWorktreeRequest) -> pb.BaseTakenIn:
        """Returns what an epic takes in of the project's branch; raises SYNC_CONFLICT."""
        known = request.base.known_commit
        tip = self.base_tip or known
        conflicts = epic in self.out_of_sync and tip != known
        if conflicts and not request.resolve_conflict:
            raise errors.HeddleError(
                pb.ERROR_REASON_SYNC_CONFLICT,
                f"{request.base.branch} conflicts with the epic in shared.txt. To merge it by hand: git merge",
                files="shared.txt",
                commit=self.base_tip,
            )
        if conflicts:
            self.resolving[request.attempt] = tip
        return pb.BaseTakenIn(commit=tip, commit_count=int(tip != known), conflicts=conflicts)

    def check_epoch(self, epoch: int) -> None:
        """Raises STALE_EPOCH for a deposed leader."""
        if epoch < self.epoch:
            raise errors.HeddleError(
                pb.ERROR_REASON_STALE_EPOCH, f"epoch {epoch} was replaced by {self.epoch}", epoch=self.epoch
            )

    def newest(self, attempt: AttemptName) -> None:
        """Raises STALE_ATTEMPT if a newer attempt of the task has a session."""
        following = str(attempt.parent.attempt(attempt.number + 1))
        if following in self.sessions:
            raise errors.HeddleError(pb.ERROR_REASON_STALE_ATTEMPT, f"{following} exists", attempt=following)
