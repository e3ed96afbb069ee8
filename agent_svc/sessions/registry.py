"""The sessions of this worker: starts, finds, stops and deletes them."""

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
from prometheus_client import Gauge

from agent_svc.agents.base.driver import Driver
from agent_svc.agents.catalogue import Catalogue
from agent_svc.log.earlier_messages import earlier_messages, messages_in
from agent_svc.log.event_log import EventLog
from agent_svc.log.recorder import Recorder
from agent_svc.log.spool import Spool
from agent_svc.sessions.conversation import parked
from agent_svc.sessions.leader_lease import Lease
from agent_svc.sessions.outcome import Ending
from agent_svc.sessions.session import Session
from agent_svc.sessions.worker_context import WorkerContext
from agent_svc.text import MAX_TEXT_BYTES
from heddle import __version__, errors, pb
from heddle.config import LEASE_MARGIN
from heddle.files.fencing import EpochFence
from heddle.files.worktree_paths import find_worktree
from heddle.names import AttemptName

log: structlog.stdlib.BoundLogger = structlog.get_logger()

_SESSIONS: Final = Gauge("heddle_sessions", "Sessions that have not ended.")
_SPOOL: Final = Gauge(
    "heddle_spool_bytes", "Size of the spools of all sessions that the scheduler has not released."
)

# Seconds after the grace period that a drain waits for sessions to be written to disk.
DRAIN_MARGIN: Final = 10.0

MAX_PAGE: Final = 1000
DEFAULT_PAGE: Final = 100


class Sessions:
    """Starts, finds and stops sessions. A session occupies a slot until its last process has ended."""

    def __init__(
        self,
        spool: Spool,
        catalogue: Catalogue,
        fence: EpochFence,
        context: WorkerContext,
        *,
        slots: int,
        min_free_bytes: int,
        lease: float = 0,
        drain: float = 0,
    ) -> None:
        self._spool = spool
        self._catalogue = catalogue
        self._fence = fence
        self._context = context
        self._slots = slots
        self._min_free_bytes = min_free_bytes
        self._drain = drain
        self._lease = Lease(lease, self._let_go)
        self._starting = asyncio.Lock()
        self._draining = False
        self._running: dict[AttemptName, Session] = {}
        self._lives: set[asyncio.Task[None]] = set()
        _SESSIONS.set_function(lambda: len(self._running))
        _SPOOL.set_function(lambda: spool.disk_use(spool.names()))
        for name in spool.names():
            folder = spool.folder(name)
            if folder.result() is None:
                spec = folder.spec()
                resume = self._agent_session(spec)
                self._running[name] = Session(name, spec, folder, context, resume)

    async def recover(self) -> None:
        """Starts to end the sessions that a killed agent_svc left. They are lost once their processes end."""
        for session in list(self._running.values()):
            log.warning("session_lost", attempt=str(session.name))
            self._live(session, session.recover(self._driver_of(session)))

    def _driver_of(self, session: Session) -> Driver | None:
        try:
            return self._catalogue.driver(session.agent)
        except errors.HeddleError:
            return None

    def _live(self, session: Session, life: Coroutine[Any, Any, None]) -> None:
        async def lived() -> None:
            try:
                await life
            except Exception:
                # The session keeps its slot, because the state of its processes is unknown. A restart ends it.
                log.exception("session_end_broke", attempt=str(session.name))
                return
            # The slot must be free first: a client that sees the end may start the next session at once.
            del self._running[session.name]
            session.tell_end()

        task = asyncio.create_task(lived(), name=str(session.name))
        self._lives.add(task)
        task.add_done_callback(self._lives.discard)

    async def start(self, request: pb.StartSessionRequest) -> pb.Session:
        """Starts a session, or returns the existing session of the attempt."""
        name = AttemptName.parse(request.attempt)
        async with self._starting:
            self._fence.check(request.epoch)
            if known := await self._find(name):
                return known
            if self._draining:
                raise errors.HeddleError(pb.ERROR_REASON_DRAINING, "this worker is shutting down; try later")
            driver = self._catalogue.driver(request.agent)
            await asyncio.to_thread(find_worktree, self._context.home, name.workspace, "attempt")
            _validate(request)
            await self._replace_older(name)
            self._check_room()
            self._lease.renew()
            folder = self._spool.folder(name)
            try:
                await asyncio.to_thread(folder.create, request)
                resume = self._agent_session(request)
                if resume:
                    # Needed if this session ends before its agent reports an id.
                    await asyncio.to_thread(folder.remember_agent_session, resume)
                said = await asyncio.to_thread(earlier_messages, self._spool, request)
                earlier = self._spool.folder(AttemptName.parse(request.resume_attempt)) if resume else None
                session = Session(name, request, folder, self._context, resume, said=said, earlier=earlier)
            except OSError as error:
                raise self._unwritable(error) from error
            self._running[name] = session
            self._live(session, session.run(driver))
            log.info("session_started", attempt=str(name), agent=request.agent.partition(":")[0])
            return session.message()

    async def _find(self, name: AttemptName) -> pb.Session | None:
        if session := self._running.get(name):
            return session.message()
        return await asyncio.to_thread(self._spool.folder(name).result)

    async def _replace_older(self, name: AttemptName) -> None:
        """Stops older attempts of the same task and waits for their end.

        Raises STALE_ATTEMPT if the task has a newer attempt.
        """
        newest = await asyncio.to_thread(self._spool.newest, name.parent)
        if newest > name.number:
            raise errors.HeddleError(
                pb.ERROR_REASON_STALE_ATTEMPT,
                f"{name} has been replaced by attempt {newest} of the same task",
                attempt=name.parent.attempt(newest),
            )
        for older in [each for each in self._running.values() if each.name.parent == name.parent]:
            older.interrupt(Ending(pb.OUTCOME_STOPPED, f"attempt {name.number} replaced it"))
            await older.wait()

    def _agent_session(self, request: pb.StartSessionRequest) -> str:
        """Returns the agent's own id of the session to resume, or "" if there is none."""
        if not request.resume_attempt:
            return ""
        return self._spool.folder(AttemptName.parse(request.resume_attempt)).agent_session()

    def _check_room(self) -> None:
        if len(self._running) >= self._slots:
            raise errors.HeddleError(
                pb.ERROR_REASON_NO_SLOT,
                f"all {self._slots} slots of this worker are taken",
                slots=self._slots,
            )
        free = shutil.disk_usage(self._spool.path).free
        if free < self._min_free_bytes:
            raise errors.HeddleError(
                pb.ERROR_REASON_DISK_FULL,
                self._full(free),
                path=self._spool.path,
                free_bytes=free,
                needed_bytes=self._min_free_bytes,
            )

    def _full(self, free: int) -> str:
        return (
            f"{self._spool.path} has {free >> 20} MiB free and needs {self._min_free_bytes >> 20} MiB:"
            " make room there, or set HEDDLE_MIN_FREE_BYTES lower"
        )

    def _unwritable(self, error: OSError) -> Exception:
        if errors.lacks_descriptors(error):
            return errors.no_descriptors(error)
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            return error
        return errors.HeddleError(
            pb.ERROR_REASON_DISK_FULL,
            f"no room to write below {self._spool.path}: make room there",
            path=self._spool.path,
            free_bytes=0,
            needed_bytes=self._min_free_bytes,
        )

    async def get(self, name: AttemptName) -> pb.Session:
        """Returns a session; raises NOT_FOUND."""
        if session := await self._find(name):
            return session
        raise errors.not_found(name)

    async def page(self, *, running_only: bool, size: int, token: str) -> tuple[list[pb.Session], str]:
        """Returns sessions sorted by name after `token`, and the token of the next page, "" at the end."""
        if size < 0:
            raise errors.invalid_field("page_size", "it takes a number from 0 (the default) to 1000")
        after = AttemptName.parse(token) if token else None
        names = sorted(self._running) if running_only else await asyncio.to_thread(self._spool.names)
        names = [name for name in names if after is None or name > after]
        shown = names[: min(size or DEFAULT_PAGE, MAX_PAGE)]
        found = [session for name in shown if (session := await self._find(name))]
        return found, str(shown[-1]) if len(shown) < len(names) else ""

    async def watch(
        self, name: AttemptName, after: int
    ) -> AsyncIterator[pb.AgentServiceWatchSessionResponse]:
        """Yields a session's events after `after`, until the session has finished and all events are sent."""
        recorder = await self._recorder(name)
        if not 0 <= after <= recorder.last_sequence:
            raise errors.HeddleError(
                pb.ERROR_REASON_SEQUENCE_OUT_OF_RANGE,
                f"{name} has events 1 to {recorder.last_sequence}; none comes after {after}: start at 0",
                oldest=1,
            )
        async for response in recorder.watch(after):
            yield response

    async def _recorder(self, name: AttemptName) -> Recorder:
        if session := self._running.get(name):
            return session.recorder
        folder = self._spool.folder(name)
        if not await asyncio.to_thread(folder.result):
            raise errors.not_found(name)
        if await asyncio.to_thread(folder.released) is not None:
            raise errors.not_found(f"log of {name}: it was released, the scheduler has it")
        recorder = Recorder(await asyncio.to_thread(EventLog.view, folder.log))
        recorder.close()
        return recorder

    async def stop(self, name: AttemptName, epoch: int, reason: str, grace: float | None) -> pb.Session:
        """Stops a session and returns when all its processes have ended. Idempotent."""
        self._fence.check(epoch)
        if session := self._running.get(name):
            session.interrupt(Ending(pb.OUTCOME_STOPPED, reason or "stopped"), grace)
            await session.wait()
        return await self.get(name)

    async def park(self, name: AttemptName, epoch: int) -> pb.Session:
        """Parks a session that waits for the operator, and waits until its processes have ended. Idempotent."""
        self._fence.check(epoch)
        if session := self._running.get(name):
            await session.park()
            await session.wait()
        ended = await self.get(name)
        if ended.result.outcome != pb.OUTCOME_PARKED:
            raise errors.HeddleError(pb.ERROR_REASON_WRONG_STATE, f"{name} has ended", state="finished")
        return ended

    async def answer(self, name: AttemptName, epoch: int, resolved: pb.ApprovalResolved, actor: str) -> None:
        """Sends the operator's answer to the agent that asked."""
        self._fence.check(epoch)
        await (await self._live_session(name)).answer(resolved, actor)

    async def send(self, name: AttemptName, request: pb.AgentServiceSendMessageRequest) -> None:
        """Sends the operator's message to the agent."""
        self._fence.check(request.epoch)
        if not request.text.strip():
            raise errors.invalid_field("text", "there is nothing to say in it")
        if len(request.text.encode()) > MAX_TEXT_BYTES:
            raise errors.invalid_field("text", f"at most {MAX_TEXT_BYTES} bytes can be said at once")
        session = await self._live_session(name)
        await session.send(request.text, request.message_id, request.actor)

    async def _live_session(self, name: AttemptName) -> Session:
        if session := self._running.get(name):
            return session
        if (await self.get(name)).result.outcome == pb.OUTCOME_PARKED:
            raise parked()
        raise errors.HeddleError(pb.ERROR_REASON_WRONG_STATE, f"{name} has ended", state="finished")

    async def artifact(self, name: AttemptName, artifact: str) -> Path:
        """Returns the path of an artifact; raises NOT_FOUND."""
        path = await asyncio.to_thread(self._spool.folder(name).artifact, artifact)
        if path is None:
            raise errors.not_found(f"artifact {artifact!r} of {name}")
        return path

    async def release(self, name: AttemptName, epoch: int) -> int:
        """Removes the events of a finished session and returns the freed bytes. Idempotent.

        The caller must have stored the events.
        """
        self._fence.check(epoch)
        async with self._starting:
            folder = self._spool.folder(name)
            if name in self._running or not await asyncio.to_thread(folder.result):
                raise errors.not_found(name)
            return await asyncio.to_thread(lambda: folder.release(messages_in(folder)))

    async def delete(self, names: Sequence[AttemptName], epoch: int, *, only_says: bool) -> int:
        """Removes finished sessions and returns the bytes they used on disk. Idempotent.

        With `only_says`, removes nothing.
        """
        if not only_says:
            self._fence.check(epoch)
        async with self._starting:
            # Every unfinished session is in `_running`, even while `recover` is still ending it.
            finished = [name for name in names if name not in self._running]
            size = await asyncio.to_thread(self._spool.disk_use, finished)
            if not only_says:
                await asyncio.to_thread(self._spool.remove, finished)
        return size

    def worker(self, epoch: int) -> pb.Worker:
        """Returns the state of this worker. A leader's epoch renews the lease. Raises STALE_EPOCH."""
        if epoch:
            self._fence.check(epoch)
            self._lease.renew()
        worker = pb.Worker(
            name=f"workers/{self._context.worker}",
            slots=self._slots,
            running_sessions=len(self._running),
            agents=self._catalogue.programs(),
            connected=True,
            version=__version__,
            write_boundary=self._context.boundary.report,
        )
        disk = shutil.disk_usage(self._spool.path)
        worker.disk_free_bytes, worker.disk_total_bytes = disk.free, disk.total
        if disk.free < self._min_free_bytes:
            worker.full = self._full(disk.free)
        if self._lease.seconds:
            longest = self._lease.seconds + self._context.grace + LEASE_MARGIN
            worker.lease.FromMilliseconds(round(longest * 1000))
        return worker

    def _let_go(self) -> None:
        """Ends all sessions, because no leader can reach them or limit their cost."""
        reason = f"its worker had no contact with a scheduler for {self._lease.seconds:g} s"
        log.warning("lease_ended", sessions=len(self._running), seconds=self._lease.seconds)
        for session in self._running.values():
            session.interrupt(Ending(pb.OUTCOME_INTERRUPTED, reason))

    async def drain(self) -> None:
        """Rejects new sessions, waits for running ones up to the drain time, then ends them as interrupted.

        Does not end them as stopped, because that means that an operator does not want the work.
        """
        self._draining = True
        self._lease.drop()
        async with self._starting:
            if self._drain and self._lives:
                log.info("waiting_for_sessions", sessions=len(self._lives), seconds=self._drain)
                await asyncio.wait(self._lives, timeout=self._drain)
            for session in self._running.values():
                session.interrupt(Ending(pb.OUTCOME_INTERRUPTED, "its worker was shut down"))
        if self._lives:
            _, late = await asyncio.wait(self._lives, timeout=self._context.grace + DRAIN_MARGIN)
            for life in late:
                life.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._spool.close()


def _validate(request: pb.StartSessionRequest) -> None:
    task = AttemptName.parse(request.attempt).parent
    if request.resume_attempt and AttemptName.parse(request.resume_attempt).parent != task:
        raise errors.invalid_field("resume_attempt", f"{request.resume_attempt} is not an attempt of {task}")
    for name, value in request.environment.items():
        if not name or "=" in name or "\0" in name + value:
            raise errors.invalid_field(
                "environment", f"{name!r} is not a valid name and value of an environment variable"
            )
    if "\0" in request.agent:
        raise errors.invalid_field("agent", "a command cannot hold a zero byte")
