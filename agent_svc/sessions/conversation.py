"""The conversation with one agent process: its output, its screenshots, and the answers sent to it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.duration_pb2 import Duration

from agent_svc.agents.base import background_work, protocol
from agent_svc.agents.base.driver import Launch, Translator
from agent_svc.log.journal import Journal
from agent_svc.processes.supervised import READ_LIMIT, Exit, Rest, Supervised
from agent_svc.reports.screenshots import Screenshots
from agent_svc.sessions.model_signs import ModelSigns
from agent_svc.sessions.pricing import Pricing
from heddle import errors, pb
from heddle.timing import running_time

# Seconds between two checks for new screenshots.
LOOK_EVERY: Final = 0.1


@dataclass
class OperatorMessages:
    """The operator's messages in a session, regardless of which agent process received them."""

    texts: list[str] = field(default_factory=list)
    # The ids of messages that have one.
    ids: set[str] = field(default_factory=set)


class Conversation:
    """Reads the output of one agent process and sends input to it.

    `on_defect` is called with an exception from a defect in Heddle; reading continues.
    `remember` is called, in a thread, with the agent's own id of its session.
    `on_used_up` is called when a session that can be resumed has used up its budget.
    `operator_messages` contains the session's messages so far; later ones are added to it.
    """

    def __init__(
        self,
        journal: Journal,
        agent: str,
        translator: Translator,
        screenshots: Screenshots,
        pricing: Pricing,
        *,
        on_defect: Callable[[Exception], None],
        remember: Callable[[str], None],
        operator_messages: OperatorMessages,
        worker: str,
        background_wait: Duration,
        on_used_up: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._agent = agent.partition(":")[0]
        self._actor = f"agent:{self._agent}"
        # The actor of Heddle's own messages is the worker.
        self._heddle = worker
        self._background_wait = background_wait
        self._translator = translator
        self._screenshots = screenshots
        self._pricing = pricing
        self._on_defect = on_defect
        self._remember = remember
        self._on_used_up = on_used_up
        self._remembered = ""
        self._looking = asyncio.Lock()
        self._looked = 0.0
        # Set while the agent reads control lines.
        self._host: Supervised | None = None
        # True if the agent never reads control lines.
        self._deaf = False
        # From the launch: describes how users open the agent's session.
        self._own_session: Callable[[str], pb.AgentSession] | None = None
        # The description that was last reported.
        self._told_session = pb.AgentSession()
        # The number of messages sent to this process.
        self._said = 0
        self._operator_messages = operator_messages
        # True once the agent has read all messages and is about to end.
        self._closed = False
        # Seconds in which this process could not run.
        self._lost = 0.0
        # When the agent last produced output or received an answer.
        self._stirred = self._now()
        # Approval ids, and whether each was answered.
        self._approvals: dict[str, bool] = {}
        # True once the session is being parked: its questions stay open for a later session.
        self._parked = False
        # True while the agent's background work runs.
        self._background = False
        self.signs = ModelSigns()

    async def hold(self, process: Supervised, launch: Launch) -> Exit:
        """Records the agent's output until its whole process tree has ended. Returns how it ended."""
        readers = [
            asyncio.create_task(self._read(process.stdout, self._translator.stdout)),
            asyncio.create_task(self._read(process.stderr, self._translator.stderr)),
        ]
        self._deaf = not launch.controlled
        self._own_session = launch.own_session
        process.on_rest = self._tell_rest
        if launch.controlled:
            self._host = process
            process.write(launch.stdin)
        ended = await process.wait()
        self._host = None
        await process.close(*readers)
        await self._record(self._translator.end())
        await self._look(final=True)
        return ended

    async def _read(self, stream: asyncio.StreamReader, translate: Callable[[bytes], list[pb.Event]]) -> None:
        while data := await stream.read(READ_LIMIT):
            self._stirred = self._now()
            try:
                await self._look()
                await self._record(translate(data))
                await self._remember_session()
                self._close()
            except Exception as error:  # noqa: BLE001 (an agent hangs if its output is not read)
                self._on_defect(error)

    async def _record(self, events: list[pb.Event]) -> None:
        for event in events:
            if event.HasField("approval_requested"):
                self._approvals.setdefault(event.approval_requested.approval_id, False)
                event.approval_requested.parkable = bool(self._translator.agent_session_id)
            if event.HasField("approval_resolved"):
                # The agent no longer waits for an answer.
                self._approvals[event.approval_resolved.approval_id] = True
            if event.HasField("background_work"):
                self._background = bool(event.background_work.running)
        if self._parked:
            # A host that ends also resolves its questions, but these are not the operator's answers.
            events = [event for event in events if not event.HasField("approval_resolved")]
        self.signs.take(events)
        await self._journal.tell(self._actor, *self._pricing.priced(events))
        if self._pricing.used_up and self._host is not None and self._translator.agent_session_id:
            self._on_used_up()

    def _close(self) -> None:
        """Lets the agent end if it asked to and has received every message."""
        if self._host is not None and not self._closed and self._translator.closing == self._said:
            self._closed = True
            self._host.write(protocol.closed())

    async def silence(self, seconds: float, since: float | None = None) -> float | None:
        """Waits until the agent has been silent for `seconds`. Returns the time of its last activity.

        Time does not count while the agent waits for the operator, while its background work runs,
        or while this process cannot run. `since` is a time that an earlier call returned: returns
        None if the agent has been active after it.
        """
        while (left := self._stirred + seconds - self._now()) > 0:
            await self._pass(left)
            if self._background or not all(self._approvals.values()):
                self._stirred = self._now()
            if since not in {None, self._stirred}:
                return None
        return self._stirred

    def _now(self) -> float:
        """Returns the seconds in which this process could run, from an arbitrary start."""
        return asyncio.get_running_loop().time() - self._lost

    async def _pass(self, seconds: float) -> None:
        begun = self._now()
        ran = await running_time.tick(seconds)
        self._lost += self._now() - begun - ran
        # The time of output that was read right after a freeze does not yet exclude the frozen seconds.
        self._stirred = min(self._stirred, self._now())

    async def _remember_session(self) -> None:
        if self._translator.agent_session_id != self._remembered:
            self._remembered = self._translator.agent_session_id
            await asyncio.to_thread(self._remember, self._remembered)
            await self._tell_session()

    async def _tell_session(self) -> None:
        """Reports the agent's own id of its session, once."""
        if self._own_session is None:
            return
        session = self._own_session(self._remembered)
        if session != self._told_session:
            self._told_session = session
            await self._journal.tell(self._actor, pb.Event(agent_session=session))

    async def _tell_rest(self, rest: Rest) -> None:
        """Reports the processes that the agent's program left running when it ended."""
        if rest.stopped:
            told = background_work.stopped(rest.commands, rest.total)
        else:
            told = background_work.waiting(rest.commands, self._background_wait, rest.total)
        self._background = bool(told.background_work.running)
        await self._journal.tell(self._heddle, told)

    async def withdraw(self) -> None:
        """Closes the open questions of an agent that was killed. Its replacement may ask them again."""
        for approval, answered in self._approvals.items():
            if not answered:
                self._approvals[approval] = True
                resolved = pb.ApprovalResolved(
                    approval_id=approval, message="the agent was killed while it waited"
                )
                await self._journal.tell(self._heddle, pb.Event(approval_resolved=resolved))

    async def _look(self, *, final: bool = False) -> None:
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if final or now - self._looked >= LOOK_EVERY:
                self._looked = now
                found = await asyncio.to_thread(self._screenshots.collect, final=final)
                await self._journal.tell(self._actor, *found)

    async def park(self) -> None:
        """Stops accepting answers. Raises WRONG_STATE unless the agent waits for one and can be resumed."""
        if self._parked:
            return
        if self._host is None or all(self._approvals.values()) or not self._translator.agent_session_id:
            raise errors.HeddleError(
                pb.ERROR_REASON_WRONG_STATE,
                "it does not wait for the operator, or its agent cannot resume later",
                state="running",
            )
        self._parked = True
        await self._remember_session()

    async def answer(self, resolved: pb.ApprovalResolved, actor: str) -> bool:
        """Sends the operator's answer to the agent. Returns False if the question already has an answer."""
        answered = self._approvals.get(resolved.approval_id)
        if answered is None:
            raise errors.not_found(f"approval {resolved.approval_id!r} of this session")
        if answered:
            return False
        if self._parked:
            raise parked()
        if self._host is None:
            raise errors.HeddleError(
                pb.ERROR_REASON_WRONG_STATE, "the agent no longer waits for an answer", state="ended"
            )
        self._approvals[resolved.approval_id] = True
        self._stirred = self._now()
        event = pb.Event(approval_resolved=resolved)
        self._host.write(protocol.line_of(event))
        await self._journal.tell(actor or "user", event)
        return True

    async def send(self, text: str, message_id: str, actor: str) -> None:
        """Sends the operator's message to the agent. Idempotent by `message_id`, if the message has one."""
        if message_id in self._operator_messages.ids:
            return
        if self._deaf:
            raise errors.HeddleError(
                pb.ERROR_REASON_CANNOT_LISTEN,
                f"an agent of the kind {self._agent!r} takes no messages while it works;"
                " wait for its end, or stop it",
                agent=self._agent,
            )
        if self._parked:
            raise parked()
        if self._host is None or self._closed or self._translator.finished is not None:
            raise errors.HeddleError(
                pb.ERROR_REASON_WRONG_STATE,
                "the agent has ended and receives no more messages",
                state="ended",
            )
        if message_id:
            self._operator_messages.ids.add(message_id)
        self._operator_messages.texts.append(text)
        self._said += 1
        said = pb.Message(kind=pb.MESSAGE_KIND_OPERATOR, text=text, last=True)
        self._host.write(protocol.line_of(pb.Event(message=said)))
        await self._journal.tell(actor or "user", pb.Event(message=said))


def parked() -> errors.HeddleError:
    """Returns the error for requests to a session that is parked or being parked."""
    return errors.HeddleError(
        pb.ERROR_REASON_WRONG_STATE, "the session is parked until its question is answered", state="parked"
    )
