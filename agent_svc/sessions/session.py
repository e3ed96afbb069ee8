"""One session: runs setup, agent and checks, determines how the session ended, and records everything."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Coroutine, Sequence
from typing import Any, Final

import structlog

from agent_svc.agents.base.driver import Driver, Launch, Translator
from agent_svc.agents.base.session_command import opened_in
from agent_svc.log.earlier_messages import with_earlier_messages
from agent_svc.log.journal import Journal
from agent_svc.log.recorder import Recorder
from agent_svc.log.spool import SessionFolder
from agent_svc.processes import supervised
from agent_svc.reports.screenshots import Screenshots
from agent_svc.sessions import restart
from agent_svc.sessions.checks import run_check
from agent_svc.sessions.conversation import Conversation, OperatorMessages
from agent_svc.sessions.outcome import (
    Ending,
    Span,
    agent_ending,
    check_failure,
    disk_failed,
    setup_failed,
    timed_out,
    used_up,
    without_model,
)
from agent_svc.sessions.pricing import Pricing
from agent_svc.sessions.session_environment import SessionEnvironment
from agent_svc.sessions.setup_commands import Commands
from agent_svc.sessions.silence import Silence
from agent_svc.sessions.worker_context import WorkerContext
from agent_svc.text import clip, system
from heddle import errors, pb
from heddle.names import AttemptName
from heddle.timing.running_time import Timer

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds between two attempts: to write the final event to a full disk, and to take a lock.
RETRY_EVERY: Final = 1.0
POLL_LOCK: Final = 0.05


class Session:
    """A session from its start to its end. Call either `run` or `recover`."""

    def __init__(
        self,
        name: AttemptName,
        spec: pb.StartSessionRequest,
        folder: SessionFolder,
        context: WorkerContext,
        resume: str = "",
        *,
        said: Sequence[str] = (),
        earlier: SessionFolder | None = None,
    ) -> None:
        """`earlier` is the folder of the attempt whose session is resumed."""
        self.name = name
        # The agent's own id of the session to resume.
        self._resume = resume
        self._said = said
        self._spec = spec
        self._folder = folder
        self._context = context
        self._environment = SessionEnvironment(name, spec, folder, context, earlier)
        self._actor = f"worker:{context.worker}"
        self._journal = Journal(name, folder.log, context.clock, self._broke, limit=context.text_limit)
        self._begun = self._journal.begun
        # -1 if the lock file could not be opened, for example because no descriptor was free.
        self._lock = -1
        # The running agent or check.
        self._process: supervised.Supervised | None = None
        self._conversation: Conversation | None = None
        self._operator_messages = OperatorMessages()
        # The project's setup while it runs.
        self._setup: Commands | None = None
        self._interruption: Ending | None = None
        self._stop_grace = context.grace
        self._over = asyncio.Event()
        self._result: pb.SessionFinished | None = None
        # Start and end of the agent. None: the agent did not start, or its end was not observed.
        self._span: Span | None = None

    @property
    def agent(self) -> str:
        """The agent, as the plan names it."""
        return self._spec.agent

    @property
    def recorder(self) -> Recorder:
        """The log, for watchers."""
        return self._journal.recorder

    def message(self) -> pb.Session:
        """Returns the session as watchers see it. It is finished once they can receive its end."""
        return self._message(self.recorder.last_sequence, self._result if self._over.is_set() else None)

    def _message(self, last_sequence: int, result: pb.SessionFinished | None) -> pb.Session:
        state = pb.SESSION_STATE_RUNNING if result is None else pb.SESSION_STATE_FINISHED
        session = pb.Session(attempt=str(self.name), state=state, last_sequence=last_sequence, result=result)
        session.start_time.FromDatetime(self._begun)
        return session

    async def wait(self) -> None:
        """Returns when all processes of the session have ended and its end is on disk."""
        await self._over.wait()

    def interrupt(self, ending: Ending, grace: float | None = None) -> None:
        """Ends the session with `ending`, after at most `grace` seconds. The first ending is kept."""
        asked = self._context.grace if grace is None else grace
        self._stop_grace = min(asked, self._stop_grace) if self._interruption else asked
        self._interruption = self._interruption or ending
        if self._process is not None:
            self._process.stop(self._stop_grace)
        if self._setup is not None:
            self._setup.stop(self._stop_grace, self._interruption.reason)

    async def answer(self, resolved: pb.ApprovalResolved, actor: str) -> None:
        """Sends the operator's answer to the agent. Idempotent."""
        if self._conversation is None:
            raise errors.not_found(f"approval {resolved.approval_id!r} of {self.name}")
        if await self._conversation.answer(resolved, actor) and resolved.rule:
            # For an agent that is restarted within the session.
            self._spec.permissions.allow.append(resolved.rule)

    async def park(self) -> None:
        """Starts to end the session so that a later one can resume it. Raises WRONG_STATE."""
        if self._conversation is None or self._interruption is not None:
            if self._interruption is not None and self._interruption.outcome == pb.OUTCOME_PARKED:
                return
            raise errors.HeddleError(
                pb.ERROR_REASON_WRONG_STATE, "it does not wait for the operator", state="running"
            )
        await self._conversation.park()
        self.interrupt(Ending(pb.OUTCOME_PARKED, "parked until the operator answers"))

    async def send(self, text: str, message_id: str, actor: str) -> None:
        """Sends the operator's message to the agent. Idempotent by `message_id`."""
        if self._conversation is None:
            raise errors.HeddleError(
                pb.ERROR_REASON_WRONG_STATE,
                "the agent is about to start; send the message again in a moment",
                state="starting",
            )
        await self._conversation.send(text, message_id, actor)

    async def run(self, driver: Driver) -> None:
        """Runs setup, agent and checks. Does not raise for their failures or for a defect in Heddle.

        A defect ends the session as failed.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            lock = self._folder.take_lock()
            assert lock is not None  # noqa: S101 (the folder is new)
            self._lock = lock
            self._folder.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
            ending = await self._watched(driver)
        except Exception as error:  # noqa: BLE001 (reported as the session's end, with its traceback in the log)
            ending = self._failed(error)
        await self._finish(ending, loop.time() - begun)

    async def recover(self, driver: Driver | None) -> None:
        """Ends a session whose agent_svc was killed, once all its processes have ended.

        `driver` is that of its agent; None: this worker no longer has it.
        """
        while (lock := self._folder.take_lock()) is None:  # noqa: ASYNC110 (its holder rings no bell)
            await asyncio.sleep(POLL_LOCK)
        self._lock = lock
        # If the supervisor was killed too, its process tree still runs. The session's TMPDIR identifies it.
        await supervised.end_marked("TMPDIR", str(self._folder.scratch))
        if driver is not None:
            self._environment.use(driver)
            await self._environment.bring_back(driver.launch(self._spec, self._resume), self._resume)
        if finished := self._journal.finished():
            await self._close_folder(finished)
        else:
            await self._finish(Ending(pb.OUTCOME_LOST, "agent_svc was killed while the session ran"), None)

    def tell_end(self) -> None:
        """Reports the end to watchers and callers. The session's slot must already be free."""
        self.recorder.close()
        self._over.set()

    async def _watched(self, driver: Driver) -> Ending:
        """Runs the session. Without a sandbox, also reports what changed around its worktree in that time."""
        if self._context.boundary.sandbox is not None:
            return await self._play(driver)
        watch = self._context.watch
        stay = await watch.begin(self.name, self._environment.worktree, self._folder.path)
        try:
            return await self._play(driver)
        finally:
            if found := await watch.end(stay):
                await self._journal.tell(self._actor, pb.Event(surroundings_changed=found))

    async def _play(self, driver: Driver) -> Ending:
        return await self._set_up() or await self._work_in_time(driver)

    async def _set_up(self) -> Ending | None:
        """Runs the project's setup. Returns the session's ending if the setup failed or was interrupted."""
        setup = self._spec.setup
        if not setup.commands:
            return self._interruption
        self._setup = Commands(
            self._context.supervisors,
            self._shell,
            lambda events: self._journal.tell(self._actor, *events),
        )
        report = await self._setup.run_within("Setup", setup.commands, setup.timeout, self._context.grace)
        self._setup = None
        if self._interruption is not None:
            return self._interruption
        finished = pb.SetupFinished(
            ok=report.ok, command=report.command, exit_code=report.exit_code, incarnation=setup.incarnation
        )
        finished.duration.FromMilliseconds(round(report.seconds * 1000))
        if not report.ok:
            finished.output = report.output
        await self._journal.tell(self._actor, pb.Event(setup_finished=finished))
        return None if report.ok else setup_failed(report)

    async def _work_in_time(self, driver: Driver) -> Ending:
        limit = self._spec.timeout
        if not self._spec.HasField("timeout"):
            return await self._work(driver)
        timer = Timer(limit.ToNanoseconds() / 1e9, lambda: self.interrupt(timed_out(limit)))
        try:
            return await self._work(driver)
        finally:
            timer.cancel()

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
        """Writes the end to disk, without telling watchers. Retries on a full disk until it succeeds."""
        finished = ending.message(seconds, self._span)
        while True:
            try:
                await self._journal.finish(self._actor, finished)
                break
            except OSError as error:
                self._failed(error)
                await self.recorder.forget()
                self._folder.free_reserve()
                await asyncio.sleep(RETRY_EVERY)
        await self._close_folder(finished)

    async def _close_folder(self, finished: pb.SessionFinished) -> None:
        self._result = finished
        while True:
            try:
                session = self._message(self._journal.written, finished)
                await asyncio.to_thread(self._folder.finish, session)
                break
            except OSError as error:
                self._failed(error)
                await asyncio.sleep(RETRY_EVERY)
        if self._lock != -1:
            os.close(self._lock)
        outcome = pb.Outcome.Name(finished.outcome).removeprefix("OUTCOME_").lower()
        log.info("session_finished", attempt=str(self.name), outcome=outcome, reason=finished.reason)

    async def _run_agent(self, driver: Driver) -> Ending:
        request, resume = with_earlier_messages(self._spec, self._said), self._resume
        where = self._environment.worktree
        await self._note(self._environment.use(driver))
        pricing = Pricing.of(self._spec, self._context.prices, live=driver.kind.reports_usage_live)
        began, answered = self._context.clock(), False
        await self._journal.begin_agent()
        for restarts in range(restart.MOST + 1):
            launch, translator = opened_in(where, driver.launch(request, resume)), driver.translator()
            async with self._environment.own_folders(launch, resume):
                ended = await self._hold(launch, translator, pricing)
            answered = answered or (self._conversation is not None and self._conversation.signs.answered)
            resumes = restart.may_resume(ended, launch, translator)
            if not resumes or self._interruption is not None or restarts == restart.MOST:
                break
            resume = translator.agent_session_id
            if self._conversation is not None:
                await self._conversation.withdraw()
            words = f"{agent_ending(ended, None).reason}; it is started again and resumes its session"
            await self._journal.tell(self._actor, system(f"{words[0].upper()}{words[1:]}.\n"))
            request = restart.again(
                self._spec, [*self._said, *self._operator_messages.texts], spent=pricing.spent
            )
        await self._note(await self._environment.bring_back(launch, self._resume))
        self._span = Span(began, self._context.clock())
        unreported = pricing.unreported(cut_off=self._interruption is not None)
        await self._journal.end_agent(self._actor, *unreported)
        ending = agent_ending(ended, translator.finished)
        return without_model(ending, answered=answered) if launch.models else ending

    async def _note(self, text: str) -> None:
        if text:
            await self._journal.tell(self._actor, system(text))

    async def _hold(self, launch: Launch, translator: Translator, pricing: Pricing) -> supervised.Exit:
        """Runs the agent's program once and returns how it ended."""
        screenshots = await asyncio.to_thread(Screenshots, self._environment.worktree, self._folder.store)
        try:
            process = await self._start(launch)
        except (OSError, ValueError) as error:
            await self._journal.tell(self._actor, self._started(0))
            return supervised.Exit(error=str(error))
        await self._journal.tell(self._actor, self._started(await process.started()))
        if not launch.controlled and "HEDDLE_PROMPT" not in self._environment.variables(launch):
            await self._note("The prompt is too long for HEDDLE_PROMPT; read standard input.\n")
        await self._note(self._context.boundary.warning())
        self._conversation = Conversation(
            self._journal,
            self._spec.agent,
            translator,
            screenshots,
            pricing,
            on_defect=self._broke,
            remember=self._folder.remember_agent_session,
            operator_messages=self._operator_messages,
            worker=self._actor,
            background_wait=self._spec.background_wait,
            on_used_up=lambda: self.interrupt(used_up(self._spec.budget_usd_micros)),
        )
        self._attach(process)
        silence = Silence(self._conversation, self._spec, self._journal, self._actor, self.interrupt)
        watching = asyncio.create_task(silence.watch())
        try:
            ended = await self._conversation.hold(process, launch)
        finally:
            watching.cancel()
        self._process = None
        return ended

    async def _start(self, launch: Launch) -> supervised.Supervised:
        wait = self._spec.background_wait.ToNanoseconds() / 1e9
        command = await self._environment.command(launch.arguments, launch, wait=wait, lock=self._lock)
        if launch.controlled:
            return await self._context.supervisors.start(command, stdin=subprocess.PIPE)
        with tempfile.TemporaryFile(dir=self._folder.scratch) as file:
            file.write(launch.stdin)
            file.seek(0)
            return await self._context.supervisors.start(command, stdin=file)

    async def _run_check(self, check: pb.Check) -> pb.CheckFinished:
        await self._journal.tell(self._actor, system(f"Check '{check.name}': {check.run}\n"))
        try:
            command = await self._shell(check.run)
            report = await run_check(check, command, self._context.supervisors, self._attach)
        except (OSError, ValueError) as error:
            report = pb.CheckFinished(name=check.name, command=check.run, output=f"could not start: {error}")
        self._process = None
        await self._journal.tell(self._actor, pb.Event(check_finished=report))
        return report

    def _attach(self, process: supervised.Supervised) -> None:
        self._process = process
        if self._interruption is not None:
            process.stop(self._stop_grace)

    def _shell(self, command: str) -> Coroutine[Any, Any, supervised.Command]:
        """Returns the command of the setup or of a check."""
        return self._environment.command(("/bin/sh", "-c", command), lock=self._lock)

    def _broke(self, error: Exception) -> None:
        self.interrupt(self._failed(error))

    def _failed(self, error: Exception) -> Ending:
        """Logs a disk error or a defect and returns the ending for it."""
        if isinstance(error, OSError):
            log.error("session_not_written", attempt=str(self.name), error=str(error))
            return disk_failed(error)
        log.error("session_broke", attempt=str(self.name), exc_info=error)
        return Ending(pb.OUTCOME_FAILED, f"agent_svc has a defect: {error!r}; its log says more")

    def _started(self, pid: int) -> pb.Event:
        return pb.Event(session_started=pb.SessionStarted(agent=clip(self._spec.agent, 4096), process_id=pid))
