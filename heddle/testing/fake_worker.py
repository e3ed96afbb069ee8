"""A worker in memory: AgentService and WorktreeService without agents, git or a disk.

It provides the guarantees of both services that a scheduler needs: calls are
idempotent, an old epoch or attempt is rejected, a watch resumes.
"""

import grpc

from heddle.identity.guard import SchedulerOnly
from heddle.rpc.serving import Service
from heddle.testing.fake_agents import FakeAgents
from heddle.testing.fake_state import FakeState
from heddle.testing.fake_worktrees import FakeWorktrees
from heddle.v1.agent_service_pb2_grpc import add_AgentServiceServicer_to_server
from heddle.v1.worktree_service_pb2_grpc import add_WorktreeServiceServicer_to_server


class FakeWorker(FakeState):
    """A worker that serves its state."""

    def service(self, agents: type[FakeAgents] = FakeAgents) -> Service:
        """Returns both services, for a server at one address; `agents` may change how sessions are watched."""
        agent, worktree = agents(self), FakeWorktrees(self)

        def register(server: grpc.aio.Server) -> None:
            add_AgentServiceServicer_to_server(agent, server)
            add_WorktreeServiceServicer_to_server(worktree, server)

        names = ["heddle.v1.AgentService", "heddle.v1.WorktreeService"]
        return Service(names=names, register=register, guard=SchedulerOnly(), drain=agent.drain)
