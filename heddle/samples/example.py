"""The example plan that the form for a run offers: small, and right for any repository."""

from collections.abc import Iterable, Sequence
from typing import Final

from heddle import pb
from heddle.plan.rules import SCRIPTED

_HEAD: Final = """\
name: First run
"""

_DRY_RUN: Final = """\
# A dry run: no agent is ready on your workers, so the scripted one only writes notes into a branch of its
# own. It costs nothing and needs no account. Once a real agent is ready, name it under `agent`.
name: First run (dry run)
"""

_EPICS: Final = """\
defaults:
  agent: {agent}
  retries: 1
epics:
  - key: docs
    title: Documentation
    touches: ["docs/**"]
    tasks:
      - key: overview
        title: Describe the repository
        estimate: {long}
        prompt: |
          Read this repository and write docs/OVERVIEW.md: what it is for, its main folders, and
          how to start it. At most 60 lines.{check_overview}
      - key: glossary
        title: Add a glossary
        estimate: {short}
        prompt: |
          Add a glossary to docs/OVERVIEW.md: five to ten terms that a newcomer must know.
  - key: ideas
    title: First issues
    touches: ["IDEAS.md"]
    tasks:
      - key: list
        title: List good first issues
        estimate: {long}
        prompt: |
          Write IDEAS.md: five small improvements of this repository, each with the files that it
          touches. Change nothing else.{check_ideas}
"""

_CHECK: Final = """
        checks:
          - {{name: written, run: test -s {file}}}"""


def ready_agents(workers: Iterable[pb.Worker]) -> list[str]:
    """Returns the agents that can work on a connected worker, in the order of the workers' lists.

    Without the scripted one, which only rehearses, and without kinds that need a command.
    """
    found = [
        agent.name
        for worker in workers
        if worker.connected
        for agent in worker.agents
        if agent.available and not agent.needs_login and agent.name != SCRIPTED and agent.name[-1] != ":"
    ]
    return list(dict.fromkeys(found))


def usual_agent(ready: Sequence[str], preferred: str) -> str:
    """Returns the `preferred` agent if it is ready, else the first one that is; empty if none is."""
    return preferred if preferred in ready else next(iter(ready), "")


def example_plan(ready: Iterable[str], preferred: str = "") -> str:
    """Returns a plan for the `preferred` agent if it is ready, else for the first one; without any, a dry run."""
    agents = list(ready)
    if not agents:
        return _DRY_RUN + _EPICS.format(
            agent=SCRIPTED, long="5s", short="5s", check_overview="", check_ideas=""
        )
    return _HEAD + _EPICS.format(
        agent=usual_agent(agents, preferred),
        long="5m",
        short="2m",
        check_overview=_CHECK.format(file="docs/OVERVIEW.md"),
        check_ideas=_CHECK.format(file="IDEAS.md"),
    )


def probe() -> pb.Plan:
    """Returns the smallest valid plan, to ask whether a run on a project could start."""
    task = pb.PlanTask(key="probe", prompt="Nothing", agent=SCRIPTED)
    return pb.Plan(name="Probe", epics=[pb.PlanEpic(key="probe", tasks=[task])])
