"""The composition root: builds everything once."""

import asyncio
import os
import zlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import grpc
import structlog

from heddle.config import Settings
from heddle.files import data_folder
from heddle.identity.guard import SchedulerOnly
from heddle.rpc import metrics
from heddle.rpc.serving import Service
from heddle.v1 import worktree_service_pb2, worktree_service_pb2_grpc
from worktree_svc.git import version
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.git.process.waiting_processes import WaitingProcesses
from worktree_svc.merges.branch_merge import BranchMerges
from worktree_svc.merges.conflict_forecast import ConflictForecaster
from worktree_svc.merges.open_merges import OpenMerges
from worktree_svc.projects.locks import HomeLock, KeyedExecutor, RepositoryLocks
from worktree_svc.projects.mirrors import Mirrors
from worktree_svc.served.application import Application
from worktree_svc.served.grants import Grants
from worktree_svc.served.listener import GitListener
from worktree_svc.served.repositories import ServedRepositories
from worktree_svc.servicer import WorktreeServicer
from worktree_svc.storage import disk, epoch_fence
from worktree_svc.storage.disk_use import DiskUse
from worktree_svc.storage.epoch_fence import EpochCheck
from worktree_svc.storage.leases import Leases
from worktree_svc.storage.ports import PortRange
from worktree_svc.storage.worktree_store import WorktreeStore
from worktree_svc.worktrees import recovery
from worktree_svc.worktrees.lifecycle import Worktrees
from worktree_svc.worktrees.pool import WorktreePool
from worktree_svc.worktrees.ref_updates import RefUpdates
from worktree_svc.worktrees.task_commits import TaskCommits

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def build(settings: Settings, *, free_bytes: disk.FreeBytes = disk.free_bytes) -> Service:
    """Returns the service over the worktrees below `settings.home`; raises GitVersionError, HomeInUseError."""
    log.info("git_found", version=version.check_version())
    lock = _lock_home(settings.home)
    metrics.show_disk(settings.home)
    executor = KeyedExecutor()
    store = WorktreeStore(settings.home / "worktrees")
    waiting = WaitingProcesses()
    folders = PrivateFolders(
        settings.home / data_folder.REPOSITORIES,
        waiting,
        named=settings.filters,
        linkable=settings.linked_checkouts,
    )
    recovery.break_locks(store, folders)
    folders.clear()
    check_epoch = epoch_fence.fence(settings.home / "worktree_epoch")
    repositories = RepositoryLocks()
    pool = _pool(settings, folders, repositories, free_bytes)
    mirrors = Mirrors(folders, repositories)
    mirrors.recover()
    leases = _leases(settings, store)
    worktrees = Worktrees(
        store,
        folders,
        repositories,
        pool,
        leases,
        min_free_bytes=settings.min_free_bytes,
        free_bytes=free_bytes,
        check_epoch=check_epoch,
    )
    open_merges = _open_merges(
        settings, folders, repositories, leases, free_bytes=free_bytes, check_epoch=check_epoch
    )
    commits, merges = TaskCommits(store, folders, check_epoch), BranchMerges(folders, check_epoch)
    disk_use = DiskUse(store)
    ref_updates = RefUpdates(store, executor)
    grants = Grants()
    listener = GitListener(settings, Application(folders, grants))
    servicer = WorktreeServicer(
        executor,
        worktrees,
        commits,
        merges=merges,
        open_merges=open_merges,
        forecaster=ConflictForecaster(folders),
        mirrors=mirrors,
        disk_use=disk_use,
        served=ServedRepositories(folders, grants, listener.url),
        tls=settings.tls,
    )

    async def close() -> None:
        disk_use.close()
        await asyncio.to_thread(listener.close)
        await ref_updates.close()
        await executor.drain()
        for end in (pool.close, waiting.close, lock.release):
            await asyncio.to_thread(end)

    return _service(servicer, (disk_use.start, ref_updates.start, listener.start), close)


def _open_merges(
    settings: Settings,
    folders: PrivateFolders,
    repositories: RepositoryLocks,
    leases: Leases,
    *,
    free_bytes: disk.FreeBytes,
    check_epoch: EpochCheck,
) -> OpenMerges:
    merges = OpenMerges(
        WorktreeStore(settings.home / "merges"),
        folders,
        repositories,
        leases,
        min_free_bytes=settings.min_free_bytes,
        free_bytes=free_bytes,
        check_epoch=check_epoch,
    )
    merges.clear()
    return merges


def _service(
    servicer: WorktreeServicer, starts: Sequence[Callable[[], None]], drain: Callable[[], Awaitable[None]]
) -> Service:
    def register(server: grpc.aio.Server) -> None:
        worktree_service_pb2_grpc.add_WorktreeServiceServicer_to_server(servicer, server)

    async def start() -> None:
        for begin in starts:
            begin()

    name = worktree_service_pb2.DESCRIPTOR.services_by_name["WorktreeService"].full_name
    return Service(names=[name], register=register, guard=SchedulerOnly(), start=start, drain=drain)


def _lock_home(home: Path) -> HomeLock:
    """Creates the data folder if necessary and locks it; raises HomeInUseError."""
    home.mkdir(parents=True, exist_ok=True)
    if repository := data_folder.keep_out(home):
        log.warning("home_in_repository", advice=data_folder.advice(home, repository))
    return HomeLock(home / "worktree.lock")


def _pool(
    settings: Settings, folders: PrivateFolders, repositories: RepositoryLocks, free_bytes: disk.FreeBytes
) -> WorktreePool:
    def has_room(folder: Path, reserve: int) -> bool:
        return free_bytes(folder) >= settings.min_free_bytes + reserve

    pool = WorktreePool(settings.home / "pool", settings.pool, folders, repositories, has_room)
    pool.recover()
    return pool


def _leases(settings: Settings, store: WorktreeStore) -> Leases:
    # Two data folders on one machine start their search for ports at different offsets.
    leases = Leases(PortRange(*settings.port_range), begin=zlib.crc32(os.fsencode(settings.home)))
    leases.recover(store)
    return leases
