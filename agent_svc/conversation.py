"""What one agent process says and shows, and what it is answered."""

import asyncio
from collections.abc import Callable
from typing import Final

from agent_svc.drivers import protocol
from agent_svc.drivers.driver import Launch, Translator
from agent_svc.journal import Journal
from agent_svc.model_signs import ModelSigns
from agent_svc.pricing import Pricing
from agent_svc.processes import READ_LIMIT, Exit, Supervised
from agent_svc.screenshots import Screenshots
from heddle import errors, pb

# Seconds between two looks for new screenshots.
LOOK_EVERY: Final = 0.1


class Conversation:
    """Listens to one agent.

    `on_defect` hears of an exception of ours; listening goes on. `remember` hears, in
    a thread, how the agent calls its own session.
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
    ) -> None:
        self._journal = journal
        self._agent = agent.partition(":")[0]
        self._actor = f"agent:{self._agent}"
        self._translator = translator
        self._screenshots = screenshots
        self._pricing = pricing
        self._on_defect = on_defect
        self._remember = remember
        self._remembered = ""
        self._looking = asyncio.Lock()
        self._looked = 0.0
        # Set while the agent listens to control lines.
        self._host: Supervised | None = None
        # True once it was seen that it never does.
        self._deaf = False
        # Ids of what the operator said, and how many messages that were.
        self._sent: set[str] = set()
        self._said = 0
        # True once the agent ends and has read all of them.
        self._closed = False
        # When the agent last said or did anything, or was spoken to.
        self._stirred = asyncio.get_running_loop().time()
        # By id: whether it was answered.
        self._approvals: dict[str, bool] = {}
        # True once the session is to end, and its questions stay open for a later one.
        self._parked = False
        self.signs = ModelSigns()

    async def hold(self, process: Supervised, launch: Launch) -> Exit:
        """Records what the agent says until its whole tree is gone; returns how it ended."""
        readers = [
            asyncio.create_task(self._read(process.stdout, self._translator.stdout)),
            asyncio.create_task(self._read(process.stderr, self._translator.stderr)),
        ]
        self._deaf = not launch.controlled
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
            self._stirred = asyncio.get_running_loop().time()
            try:
                await self._look()
                await self._record(translate(data))
                await self._remember_session()
                self._close()
            except Exception as error:  # noqa: BLE001 (an agent whose output nobody reads would hang)
                self._on_defect(error)

    async def _record(self, events: list[pb.Event]) -> None:
        for event in events:
            if event.HasField("approval_requested"):
                self._approvals.setdefault(event.approval_requested.approval_id, False)
                event.approval_requested.parkable = bool(self._translator.agent_session_id)
            if event.HasField("approval_resolved"):
                # It waits no longer.
                self._approvals[event.approval_resolved.approval_id] = True
        if self._parked:
            # What a host says of its questions at its end answers none of them.
            events = [event for event in events if not event.HasField("approval_resolved")]
        self.signs.take(events)
        await self._journal.tell(self._actor, *self._pricing.priced(events))

    def _close(self) -> None:
        """Lets the agent end if it wants to and nothing that was said is still on its way."""
        if self._host is not None and not self._closed and self._translator.closing == self._said:
            self._closed = True
            self._host.write(protocol.closed())

    async def silence(self, seconds: float, since: float | None = None) -> float | None:
        """Returns when the agent last said or did something, once that is `seconds` ago.

        Time in which somebody kept it waiting does not count. With `since`, a moment
        that an earlier call returned, None where it has stirred after that.
        """
        loop = asyncio.get_running_loop()
        while (left := self._stirred + seconds - loop.time()) > 0:
            await asyncio.sleep(left)
            if not all(self._approvals.values()):
                self._stirred = loop.time()
            if since not in {None, self._stirred}:
                return None
        return self._stirred

    async def _remember_session(self) -> None:
        if self._translator.agent_session_id != self._remembered:
            self._remembered = self._translator.agent_session_id
            await asyncio.to_thread(self._remember, self._remembered)

    async def _look(self, *, final: bool = False) -> None:
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if final or now - self._looked >= LOOK_EVERY:
                self._looked = now
                found = await asyncio.to_thread(self._screenshots.collect, final=final)
                await self._journal.tell(self._actor, *found)

    async def park(self) -> None:
        """Takes no answer from here on; raises WRONG_STATE unless it waits for one and can go on later."""
        if self._parked:
            return
        if self._host is None or all(self._approvals.values()) or not self._translator.agent_session_id:
            raise errors.HeddleError(
                pb.ERROR_REASON_WRONG_STATE,
                "it does not wait for the operator, or its agent cannot go on later",
                state="running",
            )
        self._parked = True
        await self._remember_session()

    async def answer(self, resolved: pb.ApprovalResolved, actor: str) -> None:
        """Hands the operator's answer to the agent. Idempotent: the first answer stays."""
        answered = self._approvals.get(resolved.approval_id)
        if answered is None:
            raise errors.not_found(f"approval {resolved.approval_id!r} of this session")
        if answered:
            return
        if self._parked:
            raise parked()
        if self._host is None:
            raise errors.HeddleError(
                pb.ERROR_REASON_WRONG_STATE, "the agent no longer waits for an answer", state="ended"
            )
        self._approvals[resolved.approval_id] = True
        self._stirred = asyncio.get_running_loop().time()
        event = pb.Event(approval_resolved=resolved)
        self._host.write(protocol.line_of(event))
        await self._journal.tell(actor or "user", event)

    async def send(self, text: str, message_id: str, actor: str) -> None:
        """Tells the agent what the operator says. Idempotent by `message_id`, where it has one."""
        if message_id in self._sent:
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
                pb.ERROR_REASON_WRONG_STATE, "the agent has ended, so nobody listens", state="ended"
            )
        if message_id:
            self._sent.add(message_id)
        self._said += 1
        said = pb.Message(kind=pb.MESSAGE_KIND_OPERATOR, text=text, last=True)
        self._host.write(protocol.line_of(pb.Event(message=said)))
        await self._journal.tell(actor or "user", pb.Event(message=said))


def parked() -> errors.HeddleError:
    """Returns the error for what comes while a session is being parked, and after."""
    return errors.HeddleError(
        pb.ERROR_REASON_WRONG_STATE, "the session is parked until its question is answered", state="parked"
    )
