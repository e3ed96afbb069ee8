"""One session: the agent, then its checks, then how it ended. All of it recorded."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from agent_svc import processes
from agent_svc.checks import run_check
from agent_svc.drivers import protocol
from agent_svc.drivers.driver import Driver, Launch
from agent_svc.drivers.text import clip
from agent_svc.ending import Ending, agent_ending, check_failure, disk_failed, timed_out
from agent_svc.environment import agent_environment
from agent_svc.event_log import EventLog
from agent_svc.recorder import Recorder
from agent_svc.screenshots import Screenshots
from agent_svc.spool import SessionFolder
from heddle import errors, pb
from heddle.clock import Clock
from heddle.names import AttemptName

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds between two looks for new screenshots.
LOOK_EVERY: Final = 0.1

# Seconds between two tries: to write the last words on a full disk, to find a lock free.
RETRY_EVERY: Final = 1.0
POLL_LOCK: Final = 0.05


@dataclass(frozen=True)
class Place:
    """What all sessions of a worker share."""

    worker: str
    # Seconds between SIGTERM and SIGKILL.
    grace: float
    # Names of variables that agents may inherit.
    inherited: tuple[str, ...]
    clock: Clock
    supervisors: processes.Supervisors = field(default_factory=processes.Supervisors)


class Session:
    """A session from its start to its last word. `run` or `recover` is its life."""

    def __init__(
        self, name: AttemptName, spec: pb.StartSessionRequest, folder: SessionFolder, place: Place
    ) -> None:
        self.name = name
        self._spec = spec
        self._folder = folder
        self._place = place
        self._begun = place.clock()
        self._log = EventLog.open(folder.log)
        self.recorder = Recorder(self._log, self._disk_failed)
        self._lock = -1
        self._process: processes.Supervised | None = None
        # Set while it listens to control lines.
        self._host: processes.Supervised | None = None
        self._interruption: Ending | None = None
        self._stop_grace = place.grace
        # By id: whether it was answered.
        self._approvals: dict[str, bool] = {}
        self._looking = asyncio.Lock()
        self._looked = 0.0
        self._over = asyncio.Event()
        self._result: pb.SessionFinished | None = None

    def message(self) -> pb.Session:
        session = pb.Session(
            attempt=str(self.name),
            state=pb.SESSION_STATE_FINISHED if self._result else pb.SESSION_STATE_RUNNING,
            last_sequence=self._log.last_sequence if self._result else self.recorder.last_sequence,
            result=self._result,
        )
        session.start_time.FromDatetime(self._begun)
        return session

    async def wait(self) -> None:
        """Returns when all its processes are gone and its end is on disk."""
        await self._over.wait()

    def interrupt(self, ending: Ending, grace: float | None = None) -> None:
        """Ends the session as `ending` says, politely for `grace` seconds. The first reason stays."""
        asked = self._place.grace if grace is None else grace
        self._stop_grace = min(asked, self._stop_grace) if self._interruption else asked
        self._interruption = self._interruption or ending
        if self._process is not None:
            self._process.stop(self._stop_grace)

    async def answer(self, resolved: pb.ApprovalResolved) -> None:
        """Hands the operator's answer to the agent. Idempotent: the first answer stays."""
        answered = self._approvals.get(resolved.approval_id)
        if answered is None:
            raise errors.not_found(f"approval {resolved.approval_id!r} of {self.name}")
        if answered:
            return
        if self._host is None:
            raise errors.HeddleError(
                pb.ERROR_REASON_WRONG_STATE, f"{self.name} no longer waits for an answer", state="ended"
            )
        self._approvals[resolved.approval_id] = True
        event = pb.Event(approval_resolved=resolved)
        self._host.write(protocol.line_of(event))
        await self._tell([event], "scheduler")

    # Its life ------------------------------------------------------------------------

    async def run(self, driver: Driver) -> None:
        """Runs agent and checks. Never raises for what they do; a defect of ours fails the session."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        limit = self._spec.timeout
        timer = None
        if self._spec.HasField("timeout"):
            timer = loop.call_later(limit.ToNanoseconds() / 1e9, self.interrupt, timed_out(limit))
        try:
            lock = self._folder.take_lock()
            assert lock is not None  # noqa: S101 (the folder is new)
            self._lock = lock
            self._folder.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
            ending = await self._work(driver)
        except OSError as error:
            ending = disk_failed(error)
        except Exception as error:  # noqa: BLE001 (told as the session's end, with its traceback in our log)
            ending = self._defect(error)
        finally:
            if timer is not None:
                timer.cancel()
        await self._finish(ending, loop.time() - begun)

    async def recover(self) -> None:
        """Ends a session whose agent_svc was killed, once all of its processes are gone."""
        while (lock := self._folder.take_lock()) is None:  # noqa: ASYNC110 (its holder rings no bell)
            await asyncio.sleep(POLL_LOCK)
        self._lock = lock
        # A supervisor that was killed as well left its tree behind; its private folder marks it.
        await processes.end_marked("TMPDIR", str(self._folder.scratch))
        last = self._log.last_event()
        if last is not None and last.HasField("session_finished"):
            await self._close_folder(last.session_finished)
        else:
            await self._finish(Ending(pb.OUTCOME_LOST, "agent_svc was killed while the session ran"), None)

    def tell_end(self) -> None:
        """Lets watchers and callers see the end. By then the session holds no slot any more."""
        self.recorder.close()
        self._over.set()

    async def _work(self, driver: Driver) -> Ending:
        ending = await self._run_agent(driver)
        failures = []
        if ending.outcome == pb.OUTCOME_SUCCEEDED:
            for check in self._spec.checks:
                if self._interruption is None:
                    report = await self._run_check(check)
                    failures += [] if report.ok else [check_failure(report)]
        if self._interruption is not None:
            return self._interruption._replace(exit_code=ending.exit_code)
        if failures:
            return Ending(pb.OUTCOME_FAILED, "; ".join(failures), ending.exit_code)
        return ending

    async def _finish(self, ending: Ending, seconds: float | None) -> None:
        """Writes the end down, untold; on a full disk tries again until it is there."""
        finished = ending.message(seconds)
        while True:
            try:
                event = pb.Event(session_finished=finished)
                await self.recorder.finish(*self._stamped([event], self._us))
                break
            except OSError as error:
                self._report(error)
                await self.recorder.forget()
                self._folder.free_reserve()
                await asyncio.sleep(RETRY_EVERY)
        await self._close_folder(finished)

    async def _close_folder(self, finished: pb.SessionFinished) -> None:
        self._result = finished
        while True:
            try:
                await asyncio.to_thread(self._folder.finish, self.message())
                break
            except OSError as error:
                self._report(error)
                await asyncio.sleep(RETRY_EVERY)
        os.close(self._lock)
        outcome = pb.Outcome.Name(finished.outcome).removeprefix("OUTCOME_").lower()
        log.info("session_finished", attempt=str(self.name), outcome=outcome, reason=finished.reason)

    # Its agent -----------------------------------------------------------------------

    async def _run_agent(self, driver: Driver) -> Ending:
        launch = driver.launch(self._spec)
        translator = driver.translator()
        screenshots = await asyncio.to_thread(Screenshots, self._worktree, self._folder.store)
        try:
            process = await self._start(launch)
        except (OSError, ValueError) as error:
            await self._tell([self._started(0)], self._us)
            return Ending(pb.OUTCOME_FAILED, f"the agent could not be started: {error}")
        await self._tell([self._started(await process.started())], self._us)
        if not launch.controlled and "HEDDLE_PROMPT" not in self._environment(launch):
            await self._tell(
                [system("The prompt is too long for HEDDLE_PROMPT; read standard input.\n")], self._us
            )

        async def pump(stream: asyncio.StreamReader, translate: Callable[[bytes], list[pb.Event]]) -> None:
            while data := await stream.read(processes.READ_LIMIT):
                try:
                    await self._look(screenshots)
                    await self._tell(translate(data), self._agent)
                except Exception as error:  # noqa: BLE001 (an agent whose output nobody reads would hang)
                    self.interrupt(self._defect(error))

        pumps = [
            asyncio.create_task(pump(process.stdout, translator.stdout)),
            asyncio.create_task(pump(process.stderr, translator.stderr)),
        ]
        if launch.controlled:
            self._host = process
            process.write(launch.stdin)
        self._attach(process)
        ended = await process.wait()
        self._process = self._host = None
        await process.close(*pumps)
        await self._tell(translator.end(), self._agent)
        await self._look(screenshots, final=True)
        return agent_ending(ended, translator.finished)

    async def _start(self, launch: Launch) -> processes.Supervised:
        command = self._command(launch.arguments, self._environment(launch))
        if launch.controlled:
            return await self._place.supervisors.start(command, stdin=subprocess.PIPE)
        with tempfile.TemporaryFile(dir=self._folder.scratch) as file:
            file.write(launch.stdin)
            file.seek(0)
            return await self._place.supervisors.start(command, stdin=file)

    async def _run_check(self, check: pb.Check) -> pb.CheckFinished:
        await self._tell([system(f"Check '{check.name}': {check.run}\n")], self._us)
        command = self._command(("/bin/sh", "-c", check.run), self._environment())
        try:
            report = await run_check(check, command, self._place.supervisors, self._attach)
        except (OSError, ValueError) as error:
            report = pb.CheckFinished(name=check.name, command=check.run, output=f"could not start: {error}")
        self._process = None
        await self._tell([pb.Event(check_finished=report)], self._us)
        return report

    def _attach(self, process: processes.Supervised) -> None:
        self._process = process
        if self._interruption is not None:
            process.stop(self._stop_grace)

    def _command(self, arguments: Iterable[str], environment: dict[str, str]) -> processes.Command:
        return processes.Command(tuple(arguments), self._worktree, environment, self._place.grace, self._lock)

    def _environment(self, launch: Launch | None = None) -> dict[str, str]:
        added = {
            **(launch.environment if launch else {}),
            **self._spec.environment,
            "HEDDLE_ATTEMPT": str(self.name),
            "TMPDIR": str(self._folder.scratch),
        }
        return agent_environment(os.environ, self._place.inherited, added, self._spec.prompt)

    @property
    def _worktree(self) -> Path:
        return Path(self._spec.worktree_path)

    # Its log -------------------------------------------------------------------------

    async def _look(self, screenshots: Screenshots, *, final: bool = False) -> None:
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if now - self._looked < LOOK_EVERY and not final:
                return
            self._looked = now
            try:
                found = await asyncio.to_thread(screenshots.collect, final=final)
            except OSError as error:
                self._disk_failed(error)
            else:
                await self._tell(found, self._agent)

    async def _tell(self, events: list[pb.Event], actor: str) -> None:
        for event in events:
            if event.HasField("approval_requested"):
                self._approvals.setdefault(event.approval_requested.approval_id, False)
        await self.recorder.record(*self._stamped(events, actor))

    def _disk_failed(self, error: OSError) -> None:
        self._report(error)
        self.interrupt(disk_failed(error))

    def _defect(self, error: Exception) -> Ending:
        log.error("session_broke", attempt=str(self.name), exc_info=error)
        return Ending(pb.OUTCOME_FAILED, f"agent_svc has a defect: {error!r}; its log says more")

    def _report(self, error: OSError) -> None:
        log.error("session_not_written", attempt=str(self.name), error=str(error))

    def _stamped(self, events: list[pb.Event], actor: str) -> list[pb.Event]:
        now = self._place.clock()
        for event in events:
            event.run = str(self.name.parent.parent.parent)
            event.epic = self.name.epic
            event.task = self.name.task
            event.attempt = self.name.number
            event.actor = actor
            event.time.FromDatetime(now)
        return events

    @property
    def _us(self) -> str:
        return f"worker:{self._place.worker}"

    @property
    def _agent(self) -> str:
        return f"agent:{self._spec.agent.partition(':')[0]}"

    def _started(self, pid: int) -> pb.Event:
        return pb.Event(session_started=pb.SessionStarted(agent=clip(self._spec.agent, 4096), process_id=pid))


def system(text: str) -> pb.Event:
    """Returns what Heddle itself has to say about a session."""
    return pb.Event(output=pb.Output(stream=pb.OUTPUT_STREAM_SYSTEM, text=text))
