"""Resource names (AIP-122): the ids of runs, epics, tasks and attempts.

Names are parsed once, at the API boundary; internal code uses these tuples.
`str()` of each is the resource name.
"""

import re
from typing import NamedTuple, Self

from heddle import errors

# Must also be valid in paths, git refs and URLs.
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")

# The wildcard id that list calls accept.
ANY = "-"

# Between the key of a task, or of an epic with a worktree, and the number of a candidate. No key contains it.
CANDIDATE = "@"
_CANDIDATE_KEY = re.compile(rf"{KEY.pattern}({CANDIDATE}[1-9])?")
_WITH_CANDIDATES = frozenset({"epics", "tasks"})


class RunName(NamedTuple):
    """runs/RUN."""

    run: str

    def __str__(self) -> str:
        return f"runs/{self.run}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """Returns the parts of `name`; raises INVALID_FIELD if it is malformed."""
        return cls(*_ids(name, "runs"))

    def epic(self, key: str) -> "EpicName":
        return EpicName(self.run, key)

    @property
    def branch(self) -> str:
        """The branch that finished epics are merged into."""
        return f"heddle/{self.run}/merged"


class EpicName(NamedTuple):
    """runs/RUN/epics/EPIC."""

    run: str
    epic: str

    def __str__(self) -> str:
        return f"runs/{self.run}/epics/{self.epic}"

    @classmethod
    def parse(cls, name: str, *, wildcard: bool = False) -> Self:
        """Returns the parts of `name`; raises INVALID_FIELD if it is malformed."""
        return cls(*_ids(name, "runs", "epics", wildcard=wildcard))

    @property
    def parent(self) -> RunName:
        return RunName(self.run)

    def task(self, key: str) -> "TaskName":
        return TaskName(self.run, self.epic, key)

    @property
    def branch(self) -> str:
        """The epic's own branch."""
        return f"heddle/{self.run}/epics/{self.epic}"

    @property
    def candidate(self) -> int:
        """The number of the candidates whose worktree it is; 0: it is an epic of the plan."""
        return _candidate_of(self.epic)

    @property
    def whole(self) -> "EpicName":
        """The epic of the plan whose candidates work here; the epic itself if it is one."""
        return EpicName(self.run, _whole(self.epic))

    def of_candidate(self, number: int) -> "EpicName":
        """Returns the name of the worktree in which the candidates with this number work, as EPIC@N."""
        return EpicName(self.run, f"{self.epic}{CANDIDATE}{number}")


class WorktreeName(NamedTuple):
    """runs/RUN/epics/EPIC/worktree."""

    run: str
    epic: str

    def __str__(self) -> str:
        return f"{self.parent}/worktree"

    @classmethod
    def parse(cls, name: str) -> Self:
        """Returns the parts of `name`; raises INVALID_FIELD if it is malformed."""
        epic, slash, last = name.rpartition("/")
        if not slash or last != "worktree":
            raise _malformed(name, "runs/RUN/epics/EPIC/worktree")
        return cls(*EpicName.parse(epic))

    @property
    def parent(self) -> EpicName:
        return EpicName(self.run, self.epic)


def run_or_epic(name: str) -> RunName | EpicName:
    """Returns the parts of the name of a run or of an epic; raises INVALID_FIELD if it is neither."""
    return EpicName.parse(name) if "/epics/" in name else RunName.parse(name)


class TaskName(NamedTuple):
    """runs/RUN/epics/EPIC/tasks/TASK."""

    run: str
    epic: str
    task: str

    def __str__(self) -> str:
        return f"runs/{self.run}/epics/{self.epic}/tasks/{self.task}"

    @classmethod
    def parse(cls, name: str, *, wildcard: bool = False) -> Self:
        """Returns the parts of `name`; raises INVALID_FIELD if it is malformed."""
        return cls(*_ids(name, "runs", "epics", "tasks", wildcard=wildcard))

    @property
    def parent(self) -> EpicName:
        return EpicName(self.run, self.epic)

    def attempt(self, number: int) -> "AttemptName":
        return AttemptName(self.run, self.epic, self.task, number)

    @property
    def candidate(self) -> int:
        """Its number among the candidates of a task; 0: it is a task of the plan."""
        return _candidate_of(self.task)

    @property
    def whole(self) -> "TaskName":
        """The task of the plan whose candidate it is; the task itself if it is one."""
        return TaskName(self.run, self.epic, _whole(self.task))

    def of_candidate(self, number: int) -> "TaskName":
        """Returns the name of a candidate of this task, as TASK@N."""
        return TaskName(self.run, self.epic, f"{self.task}{CANDIDATE}{number}")


class AttemptName(NamedTuple):
    """runs/RUN/epics/EPIC/tasks/TASK/attempts/N."""

    run: str
    epic: str
    task: str
    number: int

    def __str__(self) -> str:
        return f"runs/{self.run}/epics/{self.epic}/tasks/{self.task}/attempts/{self.number}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """Returns the parts of `name`; raises INVALID_FIELD if it is malformed."""
        run, epic, task, number = _ids(name, "runs", "epics", "tasks", "attempts")
        if not re.fullmatch(r"[1-9][0-9]{0,8}", number):
            raise _malformed(name, "runs/RUN/epics/EPIC/tasks/TASK/attempts/N")
        return cls(run, epic, task, int(number))

    @property
    def parent(self) -> TaskName:
        return TaskName(self.run, self.epic, self.task)

    @property
    def workspace(self) -> EpicName:
        """The name of the worktree in which it works: that of its epic, or for a candidate EPIC@N."""
        epic = EpicName(self.run, self.epic)
        candidate = self.parent.candidate
        return epic.of_candidate(candidate) if candidate else epic


def _candidate_of(key: str) -> int:
    return int(key.partition(CANDIDATE)[2] or 0)


def _whole(key: str) -> str:
    return key.partition(CANDIDATE)[0]


def _ids(name: str, *collections: str, wildcard: bool = False) -> list[str]:
    parts = name.split("/")
    ids = parts[1::2]
    pattern = "/".join(f"{collection}/{collection[:-1].upper()}" for collection in collections)
    if tuple(parts[::2]) != collections or len(ids) != len(collections):
        raise _malformed(name, pattern)
    for place, value in enumerate(ids):
        form = _CANDIDATE_KEY if parts[2 * place] in _WITH_CANDIDATES else KEY
        if not (form.fullmatch(value) or (wildcard and place and value == ANY)):
            raise _malformed(name, pattern)
    return ids


def _malformed(name: str, pattern: str) -> errors.HeddleError:
    return errors.invalid_field("name", f"{name!r} is not a valid name; use the form {pattern}")
