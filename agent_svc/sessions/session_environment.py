"""The surroundings in which a session's commands run: variables, own folders of its agent, and the sandbox."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import structlog

from agent_svc.agents.base.driver import Driver, Launch
from agent_svc.agents.base.readable_folders import SHARED
from agent_svc.log.spool import SessionFolder
from agent_svc.processes import supervised
from agent_svc.processes.environment import agent_environment, steering
from agent_svc.sandbox.bubblewrap import Resident
from agent_svc.sandbox.carried_files import TooMuchError
from agent_svc.sandbox.private_folders import PrivateFolder, PrivateFolders
from agent_svc.sessions.worker_context import WorkerContext
from heddle import pb
from heddle.files.worktree_paths import shared_folders, worktree_of
from heddle.names import AttemptName

log: structlog.stdlib.BoundLogger = structlog.get_logger()

LEFT_OUT: Final = "The agent does not get these variables of the project, which could redirect it: {names}.\n"
NO_EFFECT: Final = "The plan's project_config has no effect on this agent: {names}.\n"
NOT_STORED: Final = "The agent's session could not be stored, so it cannot be resumed: {why}.\n"


class SessionEnvironment:
    """Makes the commands of one session. `earlier` is the folder of the attempt whose session is resumed."""

    def __init__(
        self,
        name: AttemptName,
        spec: pb.StartSessionRequest,
        folder: SessionFolder,
        context: WorkerContext,
        earlier: SessionFolder | None,
    ) -> None:
        self._name = name
        self._spec = spec
        self._folder = folder
        self._context = context
        self._earlier = earlier
        self.worktree: Final = worktree_of(context.home, name.workspace)
        self._login_variables: tuple[str, ...] = ()
        self._own: list[PrivateFolder] = []

    def use(self, driver: Driver) -> str:
        """Lets launched agents log in as `driver` says. Returns notes for the session's log, or ""."""
        self._login_variables = tuple(driver.login_variables)
        left_out = (
            steering(self._spec.project_environment, self._login_variables) if self._login_variables else []
        )
        named = driver.kind.project_config
        without = [each for each in self._spec.permissions.project_config if named and each not in named]
        notes = (
            LEFT_OUT.format(names=", ".join(left_out)) if left_out else "",
            NO_EFFECT.format(names=", ".join(without)) if without else "",
        )
        return "".join(notes)

    def variables(self, launch: Launch | None = None) -> dict[str, str]:
        """Returns the environment of an agent, or without `launch` that of the setup and of checks."""
        project = dict(self._spec.project_environment)
        logins = self._login_variables if launch else ()
        if logins:
            for name in steering(project, logins):
                del project[name]
        agents = launch.environment if launch else {}
        scratch = {"TMPDIR": str(self._folder.scratch)}
        added = {**project, **agents, **self._spec.environment, **scratch}
        inherited = (*self._context.inherited, *logins)
        return agent_environment(os.environ, inherited, added, self._spec.prompt)

    async def command(
        self, arguments: Iterable[str], launch: Launch | None = None, *, wait: float = 0, lock: int
    ) -> supervised.Command:
        """Returns the command that runs `arguments`, in the sandbox if the worker has one."""
        context, variables = self._context, self.variables(launch)
        shared = await asyncio.to_thread(shared_folders, self.worktree)
        if launch and shared:
            variables[SHARED] = os.pathsep.join(map(str, shared))
        own = self._own if launch else []
        namespaces = launch.user_namespaces if launch else False
        resident = Resident(self.worktree, self._folder.scratch, variables, own, shared, namespaces)
        command = supervised.Command(
            tuple(arguments), self.worktree, variables, context.grace, lock, context.memory
        )
        limited = replace(command, wait=wait, processes=context.processes)
        return await context.boundary.held(limited, resident)

    @asynccontextmanager
    async def own_folders(self, launch: Launch, resume: str) -> AsyncIterator[None]:
        """Gives the agent its private folders, and keeps its logins valid meanwhile. Without a sandbox, it has none.

        `resume` is the agent_session_id to resume. The folders of a restarted agent are still there.
        """
        if self._context.boundary.sandbox is None or not launch.own:
            yield
            return
        folders = self._private(launch)
        earlier = self._earlier.kept if self._earlier else None
        trusted = agent_environment(os.environ, (*self._context.inherited, *self._login_variables), {}, None)
        logins = self._context.logins
        await logins.refresh(folders.folders, trusted)
        await asyncio.to_thread(folders.prepare, _own_id(launch, resume), earlier)
        self._own = folders.folders
        keeping = asyncio.create_task(logins.keep(folders.folders, trusted))
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def bring_back(self, launch: Launch, resume: str) -> str:
        """Stores the agent's own session for the user and later attempts, and removes the private folders.

        Returns a note for the session's log if that failed, otherwise "". Idempotent.
        """
        if not await asyncio.to_thread(self._folder.own.exists):
            return ""
        folders = self._private(launch)
        known = await asyncio.to_thread(self._folder.agent_session)
        try:
            await asyncio.to_thread(folders.bring_back, _own_id(launch, known), _own_id(launch, resume))
        except (OSError, TooMuchError) as error:
            log.warning("agent_session_not_stored", attempt=str(self._name), error=str(error))
            return NOT_STORED.format(why=error)
        return ""

    def _private(self, launch: Launch) -> PrivateFolders:
        return PrivateFolders(
            launch.own, self.variables(launch), self.worktree, self._folder.own, self._folder.kept
        )


def _own_id(launch: Launch, session_id: str) -> str:
    """Returns the name that the agent itself uses for a session."""
    return launch.own_session(session_id).id if launch.own_session and session_id else session_id
