"""A worktree service with its repository, for tests."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import grpc
import pytest

from heddle import pb
from heddle.config import Settings
from heddle.errors import HeddleError, from_rpc
from heddle.files.worktree_paths import read_record, view_of
from heddle.names import AttemptName
from heddle.rpc.channels import open_channel
from heddle.v1 import worktree_service_pb2_grpc
from tests.support.fleet import Fleet
from tests.support.repositories import git
from tests.support.services import serving
from worktree_svc.app import build
from worktree_svc.git import worktree_views
from worktree_svc.storage import disk


def attempt(epic: str = "api", task: str = "one", number: int = 1, run: str = "r1") -> AttemptName:
    return AttemptName(run, epic, task, number)


@dataclass
class Worker:
    """Calls a worktree service about one repository, as a scheduler of epoch `epoch` does."""

    stub: "worktree_service_pb2_grpc.WorktreeServiceAsyncStub"
    project: Path
    home: Path
    epoch: int = 1
    # Used in calls instead of the path of `project`.
    url: str = ""
    # The generation of the places of its epics. 0: they have none.
    generation: int = 0
    # How it reaches a project of another worker.
    access: pb.RepositoryAccess | None = None

    @property
    def name(self) -> str:
        return self.url or str(self.project)

    async def ensure(
        self,
        name: AttemptName,
        base: str = "main",
        earlier: AttemptName | None = None,
        file: pb.ProjectFile | None = None,
        *,
        rewind_to: str = "",
        merge: str = "",
        needed: Sequence[str] = (),
        resolve: bool = False,
        sync: str = "",
        builds_on: str = "",
        known: Sequence[pb.KnownBranch] = (),
    ) -> pb.EnsureWorktreeResponse:
        request = pb.EnsureWorktreeRequest(
            project=self.name,
            attempt=str(name),
            epoch=self.epoch,
            base_commit=base,
            continue_attempt=str(earlier or ""),
            project_file=file,
            rewind_to=rewind_to,
            merge_revision=merge,
            take_in=needed,
            resolve_conflict=resolve,
            base=pb.BaseBranch(branch=sync, known_commit=builds_on) if sync else None,
            known_branches=known,
            generation=self.generation,
            access=self.access,
        )
        return await self.stub.EnsureWorktree(request)

    async def ready(self, name: AttemptName, base: str = "main") -> Path:
        return Path((await self.ensure(name, base)).worktree.path)

    async def commit(self, name: AttemptName, subject: str = "Work", body: str = "") -> pb.CommitTaskResponse:
        request = pb.CommitTaskRequest(
            project=self.name,
            attempt=str(name),
            epoch=self.epoch,
            subject=subject,
            body=body,
            generation=self.generation,
            access=self.access,
        )
        return await self.stub.CommitTask(request)

    async def discard(self, name: AttemptName) -> pb.DiscardAttemptResponse:
        request = pb.DiscardAttemptRequest(project=self.name, attempt=str(name), epoch=self.epoch)
        return await self.stub.DiscardAttempt(request)

    async def merge(
        self,
        source: str,
        target: str,
        create_at: str = "",
        resource: str = "runs/r1",
        *,
        squash: bool = False,
        preview: bool = False,
        known: Sequence[pb.KnownBranch] = (),
    ) -> pb.MergeBranchResponse:
        request = pb.MergeBranchRequest(
            project=self.name,
            epoch=self.epoch,
            source_branch=source,
            target_branch=target,
            create_target_at=create_at,
            resource=resource,
            squash=squash,
            preview=preview,
            known_branches=known,
        )
        return await self.stub.MergeBranch(request)

    async def predict(self, *branches: str, base: str = "main") -> pb.PredictConflictsResponse:
        request = pb.PredictConflictsRequest(project=self.name, branches=branches, base=base)
        return await self.stub.PredictConflicts(request)

    async def remove(self, epic: str) -> pb.RemoveWorktreeResponse:
        request = pb.RemoveWorktreeRequest(project=self.name, epic=epic, epoch=self.epoch)
        return await self.stub.RemoveWorktree(request)

    async def restore(self, epic: str, file: pb.ProjectFile | None = None) -> pb.RestoreWorktreeResponse:
        request = pb.RestoreWorktreeRequest(project=self.name, epic=epic, epoch=self.epoch, project_file=file)
        return await self.stub.RestoreWorktree(request)

    async def inspect(
        self, path: Path | str = "", base: str = "", into: str = ""
    ) -> pb.InspectProjectResponse:
        request = pb.InspectProjectRequest(project=str(path or self.project), base_ref=base, merge_into=into)
        return await self.stub.InspectProject(request)

    def git(self, *arguments: str) -> str:
        """Runs the user's git. Worktrees then show its refs, without waiting until the service shows them."""
        printed = git(self.project, *arguments)
        for record in self.home.glob("worktrees/*/*.json"):
            worktree = record.with_suffix("")
            found = read_record(worktree)
            if found and found.common and (view_of(worktree) / "packed-refs").is_file():
                worktree_views.show_refs(view_of(worktree), found.common)
        return printed


@asynccontextmanager
async def worker(
    home: Path,
    project: Path,
    free_bytes: disk.FreeBytes = disk.free_bytes,
    *,
    pool: int = 0,
    port_range: tuple[int, int] | None = None,
    filters: str = "",
    linked: str = "",
    more: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Worker]:
    """Serves worktrees below `home` with a pool of size `pool`; yields a client for repository `project`."""
    environment = {
        "HEDDLE_HOME": str(home),
        "HEDDLE_FILTERS": filters,
        "HEDDLE_LINKED_CHECKOUTS": linked,
        **more,
    }
    settings = Settings.read(environment).model_copy(update={"min_free_bytes": 1 << 20, "pool": pool})
    if port_range:
        settings = settings.model_copy(update={"port_range": port_range})
    async with serving(build(settings, free_bytes=free_bytes)) as channel:
        yield Worker(worktree_service_pb2_grpc.WorktreeServiceStub(channel), project, settings.home)


@asynccontextmanager
async def connected(fleet: Fleet, project: Path) -> AsyncIterator[Worker]:
    """Yields a worker whose calls go to the worktree service of `fleet`, whenever that runs."""
    async with open_channel(fleet.worktree) as channel:
        yield Worker(worktree_service_pb2_grpc.WorktreeServiceStub(channel), project, fleet.home)


def fingerprint(project: Path) -> dict[str, str]:
    """Returns everything of a user's checkout that Heddle must not touch."""
    folder = Path(git(project, "rev-parse", "--absolute-git-dir"))
    index = folder / "index"
    refs = git(project, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return {
        "index": hashlib.sha256(index.read_bytes()).hexdigest() if index.exists() else "",
        "status": git(project, "--no-optional-locks", "status", "--porcelain=v2", "--branch"),
        "head": (folder / "HEAD").read_text(),
        "refs": "\n".join(ref for ref in refs if not ref.startswith(("refs/heads/heddle/", "refs/heddle/"))),
        "stash": git(project, "stash", "list"),
        "config": (folder / "config").read_text(),
        "exclude": (folder / "info" / "exclude").read_text(),
        "files": "\n".join(sorted(f"{path}" for path in project.rglob("*") if ".git" not in path.parts)),
    }


async def refused(call: Awaitable[object]) -> HeddleError:
    """Returns the error with which the service rejects `call`; fails if `call` succeeds."""
    with pytest.raises(grpc.RpcError) as raised:
        await call
    error = from_rpc(raised.value)
    assert error is not None, raised.value
    return error


async def merge_a_task(worker: Worker, remote: Path, base: str) -> Path:
    """Accepts a task, merges its epic into trunk, and checks that both were pushed; returns the worktree."""
    branch = "heddle/r1/epics/api"
    path = await worker.ready(attempt(), base=base)
    (path / "b.txt").write_text("b\n")
    done = await worker.commit(attempt())
    assert (done.push_error, git(remote, "rev-parse", branch)) == ("", done.commit)
    merged = (await worker.merge(branch, "trunk")).merged
    assert (merged.push_error, git(remote, "rev-parse", "trunk")) == ("", merged.commit)
    return path
