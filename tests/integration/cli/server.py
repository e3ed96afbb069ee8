"""The real services, run by one `heddle up`, with the command as their client."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from heddle import pb
from heddle.client import HeddleClient
from heddle.identity import token_file
from tests.support.commands import DEADLINE, Command, run, running
from tests.support.repositories import make_repository

QUICK = """
name: Quick
epics:
  - key: api
    title: Backend API
    tasks:
      - {key: one, script: [{write: {path: one.txt, text: "1\\n"}}]}
      - {key: two, script: [{write: {path: two.txt, text: "2\\n"}}]}
  - key: ui
    tasks:
      - {key: page, script: [{say: hello there}, {write: {path: page.html, text: "<p>"}}]}
"""

FAILING = """
name: Failing
epics:
  - {key: api, tasks: [{key: one, script: [{fail: no luck}]}]}
"""

LONG = """
name: Long
epics:
  - key: api
    tasks:
      - {key: one, script: [{say: begun}, {wait: 600s}]}
      - {key: two, script: [{say: done}]}
"""


class Server(NamedTuple):
    """A running `up`, the environment of its clients, and the folder for plans and repositories."""

    up: Command
    env: dict[str, str]
    folder: Path

    async def heddle(self, *arguments: str) -> tuple[int, str, str]:
        return await run(*arguments, env=self.env)

    def plan(self, text: str) -> str:
        path = self.folder / f"plan-{random.SystemRandom().getrandbits(32):x}.yaml"
        path.write_text(text)
        return str(path)

    def repository(self) -> Path:
        return make_repository(self.folder / f"repo-{random.SystemRandom().getrandbits(32):x}")

    async def begin(self, text: str) -> str:
        """Starts a run on a new repository, and returns its short name."""
        code, out, err = await self.heddle("run", self.plan(text), "--repo", str(self.repository()))
        assert code == 0, err
        return out.strip()

    async def until(self, name: str, text: str) -> None:
        """Returns once the run's log contains `text`."""
        async with running("watch", name, env=self.env) as watch:
            await watch.says(text)

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """Keeps every slot of the worker busy until the end of the block, so that no other session starts."""
        plan = pb.Plan(name="Busy", defaults=pb.TaskDefaults(agent="command:sleep 600"))
        token = token_file.read(token_file.operator_file(Path(self.env["HEDDLE_HOME"])))
        client = HeddleClient(self.env["HEDDLE_SCHEDULER"], token=token)
        async with client, asyncio.timeout(DEADLINE):
            (worker,) = await client.list_workers()
            for number in range(worker.slots):
                plan.epics.add(key=f"e{number}").tasks.add(key="t", prompt="Wait")
            request = pb.CreateRunRequest(plan=plan, project=str(self.repository()))
            name = (await client.create_run(request)).name
            started = 0
            async for answer in client.watch_run(name):
                started += sum(event.HasField("session_started") for event in answer.events)
                if started == worker.slots:
                    break
        yield
        assert (await self.heddle("cancel", name))[0] == 0
