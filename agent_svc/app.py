"""The composition root: builds agent_svc once, from settings."""

import asyncio

from agent_svc.agents.catalogue import Catalogue, default_catalogue
from agent_svc.log.spool import Spool
from agent_svc.processes.supervised import Supervisors
from agent_svc.registration import Registration
from agent_svc.sandbox.boundary import boundary
from agent_svc.servicer import AgentServicer
from agent_svc.sessions.registry import Sessions
from agent_svc.sessions.standalone_checks import StandaloneChecks
from agent_svc.sessions.worker_context import WorkerContext
from agent_svc.terminals.terminals import Terminals
from heddle.config import Settings
from heddle.files.fencing import EpochFence
from heddle.identity.guard import SchedulerOnly
from heddle.prices import Prices
from heddle.rpc import metrics
from heddle.rpc.serving import Service
from heddle.timing.clock import Clock, utc_now
from heddle.v1 import agent_service_pb2
from heddle.v1 import agent_service_pb2_grpc as stubs


def build(settings: Settings, *, catalogue: Catalogue | None = None, clock: Clock = utc_now) -> Service:
    """Returns the service; one agent_svc at a time may use `settings.home`."""
    prices = Prices.read(settings.home)
    held = boundary(settings)
    context = WorkerContext(
        settings.worker_name,
        settings.home,
        settings.stop_grace,
        settings.agent_env,
        clock,
        prices,
        held,
        memory=settings.agent_memory,
        processes=settings.agent_processes,
        text_limit=settings.session_text,
        supervisors=Supervisors(held.processes),
    )
    fence = EpochFence(settings.home / "agent_epoch")
    metrics.show_disk(settings.home)
    sessions = Sessions(
        Spool(settings.home),
        catalogue or default_catalogue(),
        fence,
        context,
        slots=settings.slots,
        min_free_bytes=settings.min_free_bytes,
        lease=settings.lease,
        drain=settings.drain,
    )
    checks = StandaloneChecks(settings.home / "checks", fence, context)

    terminals = Terminals(settings.home / "terminals", fence, context, allowed=settings.terminal)

    registration = Registration(settings)

    async def recover() -> None:
        await sessions.recover()
        await checks.recover()
        await terminals.recover()
        registration.start()

    async def drain() -> None:
        # Concurrently, because each waits for a grace period.
        await asyncio.gather(sessions.drain(), checks.drain(), terminals.drain())
        # The scheduler could read the ends of the sessions until now.
        await registration.leave()
        await asyncio.to_thread(held.close)

    return Service(
        guard=SchedulerOnly(),
        names=[agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"].full_name],
        register=lambda server: stubs.add_AgentServiceServicer_to_server(
            AgentServicer(sessions, checks, terminals), server
        ),
        start=recover,
        drain=drain,
    )
