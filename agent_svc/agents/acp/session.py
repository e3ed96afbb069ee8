"""One session of an ACP agent: opens or resumes it, prompts turn by turn, and ends it cleanly."""

import asyncio
import os
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias, TypeVar

from acp import PROTOCOL_VERSION, RequestError, text_block
from acp.client.connection import ClientSideConnection
from acp.schema import (
    AcpMcpServer,
    AgentCapabilities,
    ClientCapabilities,
    EnvVariable,
    FileSystemCapabilities,
    HttpHeader,
    HttpMcpServer,
    Implementation,
    LoadSessionResponse,
    McpServerStdio,
    NewSessionResponse,
    PromptResponse,
    ResumeSessionResponse,
    SessionConfigOptionSelect,
    SessionConfigSelectGroup,
    SseMcpServer,
)

from agent_svc.agents.acp.client import Client
from agent_svc.agents.acp.failures import Unanswered, failed, stopped_early
from agent_svc.agents.acp.forwarded_messages import WANTED
from agent_svc.agents.acp.memory import Memory
from agent_svc.agents.acp.presets import Agent
from agent_svc.agents.base.host import AgentFailedError, Host, count_servers, resume_prompt
from agent_svc.agents.base.mcp_servers import without_program
from agent_svc.agents.base.tool_vocabulary import HARMLESS, KINDS
from agent_svc.agents.claude.messages.background_tasks import SUBTYPES
from agent_svc.agents.claude.project_config import project_config
from agent_svc.processes.supervisor import Servers
from heddle import __version__
from heddle.timing import running_time

T = TypeVar("T")

# Seconds that an agent has to identify itself, and to open a session.
OPENING: Final = 120.0

# Seconds without an update after which calls that an agent never ended count as ended with the turn,
# and seconds between two checks.
QUIET: Final = 5.0
LOOK: Final = 0.2

# Seconds that an interrupted agent has to end its turn.
INTERRUPTING: Final = 2.0

# At the beginning of a text, agents interpret these as a command, a shell line or a mention. The
# protocol cannot mark a text as literal.
SIGILS: Final = ("/", "$", "!", "@", "#", "&", "?", ":")
LEAD: Final = "The following is text, not a command:\n\n"


class Stopped(Exception):  # noqa: N818 (nothing went wrong)
    """The session must end before it has begun."""


Opened: TypeAlias = NewSessionResponse | LoadSessionResponse | ResumeSessionResponse


class Session:
    """The conversation with the agent. Raises failures of the agent as AgentFailedError."""

    def __init__(
        self, host: Host, agent: Agent, client: Client, connection: ClientSideConnection, resume: str
    ) -> None:
        self._host = host
        self._agent = agent
        self._client = client
        self._connection = connection
        # The stored data to resume an earlier session. Empty: there is no earlier session.
        self._resume_by = resume
        self._id = ""
        self._resumed = False
        # True: background work still runs and must be ended with the session.
        self._leaves = False

    @property
    def leaves(self) -> bool:
        """Whether the agent's background work must be ended with the agent."""
        return self._leaves

    @property
    def memory(self) -> str:
        """The data to resume this session. Empty: it is not open yet, or its agent cannot resume."""
        return self._client.memory

    async def open(self) -> None:
        """Opens the session, or resumes the earlier one, with the agent's mode and the plan's model."""
        said = await self._answer(
            self._connection.initialize(
                protocol_version=PROTOCOL_VERSION,
                client_capabilities=ClientCapabilities(
                    fs=FileSystemCapabilities(
                        read_text_file=self._agent.files, write_text_file=self._agent.files
                    ),
                    terminal=True,
                ),
                client_info=Implementation(name="heddle", title="Heddle", version=__version__),
            )
        )
        if said.protocol_version != PROTOCOL_VERSION:
            raise AgentFailedError(
                f"{self._agent.name} speaks version {said.protocol_version} of the Agent Client Protocol; "
                f"Heddle speaks {PROTOCOL_VERSION}: update {self._agent.name}"
            )
        can = said.agent_capabilities or AgentCapabilities()
        self._client.resumable = _resumes(can) or bool(can.load_session)
        self._name_missing_servers()
        opened = await self._resume(can) or await self._begin()
        self._client.remember(self._id)
        await self._choose_mode(opened)
        await self._choose_model(opened)

    async def work(self) -> None:
        """Sends the prompt, then the operator's messages, until no message is left or the session must stop."""
        text = resume_prompt(self._host.session) if self._resumed else self._host.session.prompt
        while text and not self._host.stopping.is_set():
            response = await self._turn(text)
            if response is not None and (why := stopped_early(response.stop_reason)):
                raise AgentFailedError(why)
            text = "" if await self._host.may_end() else self._heard()

    async def _begin(self) -> NewSessionResponse:
        if self._host.session.HasField("max_turns") and not self._agent.claude:
            self._host.note(f"{self._agent.name} does not support max_turns; its turns are not limited.")
        opened = await self._answer(
            self._connection.new_session(
                cwd=str(self._host.worktree), mcp_servers=self._servers(), **self._options()
            )
        )
        self._id = opened.session_id
        return opened

    async def _resume(self, can: AgentCapabilities) -> Opened | None:
        """Resumes the earlier session; returns None if there is no earlier session or it cannot be resumed."""
        if not self._resume_by:
            return None
        if not self._client.resumable:
            self._host.note(f"{self._agent.name} cannot resume a session; a new one starts.")
            return None
        earlier = Memory.parse(self._resume_by)
        self._id = earlier.session_id
        self._client.replaying = True
        try:
            opened = await self._reopen(loads=not _resumes(can))
        except Unanswered:
            raise
        except AgentFailedError as error:
            self._host.note(f"The earlier session could not be resumed ({error}); a new one starts.")
            return None
        finally:
            self._client.replaying = False
        self._resumed = True
        self._client.transcript.spending.total = earlier.spent
        self._client.transcript.forwarded.resume(None if earlier.unsettled else earlier.spent)
        return opened

    async def _reopen(self, *, loads: bool) -> Opened:
        if loads:
            return await self._answer(
                self._connection.load_session(
                    cwd=str(self._host.worktree),
                    session_id=self._id,
                    mcp_servers=self._servers(),
                    **self._options(),
                )
            )
        return await self._answer(
            self._connection.resume_session(
                session_id=self._id,
                cwd=str(self._host.worktree),
                mcp_servers=self._servers(),
                **self._options(),
            )
        )

    def _name_missing_servers(self) -> None:
        """Reports MCP servers whose programs do not exist. The protocol has no message about a server's start."""
        if self._agent.claude:
            # Claude Code's own messages report every server that does not start.
            return
        for server in self._host.session.mcp_servers:
            if line := without_program(server, self._host.worktree, os.environ.get("PATH", os.defpath)):
                self._host.note(line)

    def _servers(self) -> list[HttpMcpServer | SseMcpServer | AcpMcpServer | McpServerStdio]:
        """Returns the plan's MCP servers as messages of the protocol."""
        return [
            HttpMcpServer(
                type="http",
                name=server.name,
                url=server.url,
                headers=[HttpHeader(name=name, value=value) for name, value in server.headers.items()],
            )
            if server.url
            else McpServerStdio(
                name=server.name,
                command=server.command,
                args=list(server.args),
                env=[EnvVariable(name=name, value=value) for name, value in server.env.items()],
            )
            for server in self._host.session.mcp_servers
        ]

    def _options(self) -> dict[str, Any]:
        """Returns the options that only Claude's adapter understands; empty for other agents."""
        if not self._agent.claude:
            return {}
        session = self._host.session
        project = project_config(session, self._host.worktree, os.environ)
        options: dict[str, Any] = {
            # The user's own settings might allow what the plan does not.
            "settingSources": project.sources,
            "settings": {
                **project.settings,
                # A skill of the project may grant itself tools. Claude still asks for these.
                "permissions": {"ask": sorted(name for name, kind in KINDS.items() if kind not in HARMLESS)},
            },
            "mcpServers": project.servers,
            "strictMcpConfig": True,
            "additionalDirectories": project.directories,
            "env": project.environment,
        }
        if session.HasField("max_turns"):
            options["maxTurns"] = session.max_turns
        if session.HasField("budget_usd_micros") and not self._host.resume:
            # In a resumed session, Claude would also count the earlier cost. The scheduler stops that session.
            options["maxBudgetUsd"] = session.budget_usd_micros / 1_000_000
        if session.effort:
            options["effort"] = session.effort
        if session.tools:
            options["tools"] = list(session.tools)
        told: dict[str, Any] = {
            "claudeCode": {
                "options": options,
                "emitRawSDKMessages": [*WANTED, *({"type": "system", "subtype": each} for each in SUBTYPES)],
            }
        }
        if project.prompt:
            told["systemPrompt"] = {"append": project.prompt}
        return told

    async def _choose_mode(self, opened: Opened) -> None:
        offered = {mode.id for mode in opened.modes.available_modes} if opened.modes else set()
        if self._agent.mode in offered:
            await self._answer(
                self._connection.set_session_mode(session_id=self._id, mode_id=self._agent.mode)
            )

    async def _choose_model(self, opened: Opened) -> None:
        option = next(
            (
                each
                for each in opened.config_options or []
                if isinstance(each, SessionConfigOptionSelect) and "model" in {each.id, each.category}
            ),
            None,
        )
        wanted = self._host.session.model
        if wanted and option is None:
            self._host.note(f"{self._agent.name} does not let its model be chosen; it uses its own.")
        elif wanted and option is not None:
            try:
                await self._answer(
                    self._connection.set_config_option(config_id=option.id, session_id=self._id, value=wanted)
                )
            except AgentFailedError as error:
                names = ", ".join(values(option))
                raise AgentFailedError(
                    f"{self._agent.name} has no model {wanted!r}; it has: {names} ({error})"
                ) from error
        current = option.current_value if option else ""
        # "default" is the agent's own choice, not the name of a model.
        self._client.transcript.spending.model = wanted or ("" if current == "default" else current)

    async def _turn(self, text: str) -> PromptResponse | None:
        """Runs one turn; returns how it ended, or None if it was interrupted."""
        prompting = asyncio.ensure_future(
            self._connection.prompt(session_id=self._id, prompt=[text_block(as_text(text))])
        )
        response = None
        try:
            await self._host.wait_unless_stopped(prompting)
            if not prompting.done():
                await self._interrupt(prompting)
            else:
                response = prompting.result()
                await self._wait_for_background()
        except RequestError as error:
            raise failed(error, self._agent, self._client.limit) from error
        finally:
            prompting.cancel()
            self._host.emit(*self._client.transcript.end_turn(response))
        return response

    async def _wait_for_background(self) -> None:
        """Waits, within the task's limit, for background work after a turn and for the turns it causes."""
        waited, servers = 0.0, Servers()
        while not self._host.stopping.is_set():
            names = self._client.running(QUIET)
            self._host.tell_background(names)
            if not names and self._client.rests():
                return
            if names and (waited >= self._host.background_wait or self._serves_only(names, servers)):
                self._host.tell_stopped(names)
                self._client.end_terminals()
                self._leaves = True
                return
            waited += await running_time.tick(LOOK)

    def _serves_only(self, names: Sequence[str], servers: Servers) -> bool:
        """Returns whether everything that runs is a background command of Claude Code and an idle server."""
        tasks = self._client.tasks
        own = tasks.only_commands and len(tasks.names) == len(names)
        return own and count_servers(servers, depth=3) >= len(names)

    async def _interrupt(self, prompting: "asyncio.Future[PromptResponse]") -> None:
        with suppress(RequestError, ConnectionError):
            await self._connection.cancel(session_id=self._id)
        await asyncio.wait([prompting], timeout=INTERRUPTING)

    def _heard(self) -> str:
        """Returns the operator's messages since the last call."""
        texts = []
        while not self._host.heard.empty():
            texts.append(self._host.heard.get_nowait())
        return "\n\n".join(texts)

    async def _answer(self, asked: Coroutine[Any, Any, T]) -> T:
        answering = asyncio.create_task(asked)
        late = asyncio.create_task(running_time.sleep(OPENING))
        try:
            await self._host.wait_unless_stopped(answering, late)
            if answering.done():
                return answering.result()
        except RequestError as error:
            raise failed(error, self._agent, self._client.limit) from error
        finally:
            answering.cancel()
            late.cancel()
        if self._host.stopping.is_set():
            raise Stopped
        raise Unanswered(f"{self._agent.name} did not answer within {OPENING:g} s")


def _resumes(can: AgentCapabilities) -> bool:
    """Returns whether the agent can resume a session without sending all of it again."""
    return can.session_capabilities is not None and can.session_capabilities.resume is not None


def as_text(text: str) -> str:
    """Returns `text`, with LEAD before it if an agent could interpret it as a command."""
    return LEAD + text if text.lstrip().startswith(SIGILS) else text


def values(option: SessionConfigOptionSelect) -> list[str]:
    """Returns the values that the option offers."""
    return [
        each.value
        for entry in option.options
        for each in (entry.options if isinstance(entry, SessionConfigSelectGroup) else [entry])
    ]
