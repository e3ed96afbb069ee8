"""The real services, run by one `heddle up`, with the command as their client."""

import random
from pathlib import Path
from typing import NamedTuple

from tests.support.commands import Command, run, running
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
