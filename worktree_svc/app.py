"""The composition root: builds everything once."""

import asyncio
import os
import zlib
from pathlib import Path

import grpc
import structlog

from heddle import data_folder
from heddle.config import Settings
from heddle.serving import Service
from heddle.v1 import worktree_service_pb2, worktree_service_pb2_grpc
from worktree_svc.git import command
from worktree_svc.git.private_folders import PrivateFolders
from worktree_svc.git.spare_processes import Children
from worktree_svc.merges.branch_merge import Merges
from worktree_svc.merges.conflict_forecast import Radar
from worktree_svc.merges.tested_merge import OpenMerges
from worktree_svc.projects.locks import HomeLock, Jobs, RepositoryLocks
from worktree_svc.projects.mirrors import Mirrors
from worktree_svc.servicer import WorktreeServicer
from worktree_svc.storage import disk, epoch_fence
from worktree_svc.storage.disk_use import DiskUse
from worktree_svc.storage.leases import Leases
from worktree_svc.storage.ports import PortRange
from worktree_svc.storage.worktree_states import States
from worktree_svc.worktrees import recovery
from worktree_svc.worktrees.lifecycle import Worktrees
from worktree_svc.worktrees.pool import Pool
from worktree_svc.worktrees.task_commits import Commits

log: structlog.stdlib.BoundLogger = structlog.get_logger()


def build(settings: Settings, *, free_bytes: disk.FreeBytes = disk.free_bytes) -> Service:
    """Returns the service over the worktrees below `settings.home`; raises GitVersionError, HomeInUseError."""
    log.info("git_found", version=command.check_version())
    settings.home.mkdir(parents=True, exist_ok=True)
    if repository := data_folder.keep_out(settings.home):
        log.warning("home_in_repository", advice=data_folder.advice(settings.home, repository))
    lock = HomeLock(settings.home / "worktree.lock")
    jobs = Jobs()
    states = States(settings.home / "worktrees")
    waiting = Children()
    folders = PrivateFolders(settings.home / "repositories", waiting, named=settings.filters)
    recovery.break_locks(states, folders)
    folders.clear()
    still_leads = epoch_fence.fence(settings.home / "worktree_epoch")
    repositories = RepositoryLocks()

    def has_room(folder: Path, reserve: int) -> bool:
        return free_bytes(folder) >= settings.min_free_bytes + reserve

    pool = Pool(settings.home / "pool", settings.pool, folders, repositories, has_room)
    pool.recover()
    mirrors = Mirrors(folders, repositories)
    mirrors.recover()
    least = settings.min_free_bytes
    # Two data folders on one machine start their search for ports at different offsets.
    leases = Leases(PortRange(*settings.port_range), begin=zlib.crc32(os.fsencode(settings.home)))
    leases.recover(states)
    worktrees = Worktrees(
        states,
        folders,
        repositories,
        pool,
        leases,
        min_free_bytes=least,
        free_bytes=free_bytes,
        still_leads=still_leads,
    )
    merge_states = States(settings.home / "merges")
    open_merges = OpenMerges(
        merge_states,
        folders,
        repositories,
        leases,
        min_free_bytes=least,
        free_bytes=free_bytes,
        still_leads=still_leads,
    )
    open_merges.clear()
    commits, merges = Commits(states, folders, still_leads), Merges(folders, still_leads)
    disk_use = DiskUse(states)
    servicer = WorktreeServicer(
        jobs,
        worktrees,
        commits,
        merges=merges,
        open_merges=open_merges,
        radar=Radar(folders),
        mirrors=mirrors,
        disk_use=disk_use,
    )

    def register(server: grpc.aio.Server) -> None:
        worktree_service_pb2_grpc.add_WorktreeServiceServicer_to_server(servicer, server)

    async def start() -> None:
        disk_use.start()

    async def drain() -> None:
        disk_use.close()
        await jobs.drain()
        await asyncio.to_thread(pool.close)
        await asyncio.to_thread(waiting.close)
        lock.release()

    name = worktree_service_pb2.DESCRIPTOR.services_by_name["WorktreeService"].full_name
    return Service(names=[name], register=register, start=start, drain=drain)
