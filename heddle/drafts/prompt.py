"""The prompts for the agent of a draft. Pure."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from heddle import pb
from heddle.events.fenced_blocks import fenced
from heddle.plan.rules import SCRIPTED

# Keys of plan files that a draft has no use for.
_LEFT_OUT: Final = frozenset({"inputs", "script", "mcp_servers", "merge_into", "silence", "background_wait"})

# A plan with more errors is better written again.
_MOST_REMARKS: Final = 40
_MOST_REMARK_BYTES: Final = 600
_MOST_TEXT_BYTES: Final = 200_000

# The error of an answer that should have a changed plan, and has none.
NO_REVISION: Final = (
    "the answer has no plan; end with one block ```yaml that has the whole changed plan, or, if nothing should change,"
    " say so once more and why"
)

_BEGINNING: Final = """\
Draft a plan of work for this repository. Coding agents will carry it out later, several at the same time. You only
read: change no file, install nothing, commit nothing. Your answer is the plan."""

_HOW_TO_WORK: Final = """\
# How to work

1. Read the repository: its structure, its conventions, how it is built and tested. Find out which commands test and
   lint it (for example in a Makefile, a package.json, a CI workflow), and which parts the goal affects.
2. Divide the work into epics and tasks, as described below.
3. End with your answer: a few sentences with your reasons, then the plan."""

RULES: Final = """\
# What a plan is

- Epics run at the same time, each in a working copy and on a branch of its own, and are merged when they are done. Give
  each epic another area of the code, so that no two epics change the same files. Epics that share files conflict.
- `touches` of an epic lists globs of the files that it will write, for example `api/**`. Shared files, such as a
  changelog, a lock file or a registry, belong to one epic only.
- The tasks of an epic run one after the other, each on top of the one before. A task is one unit of work for one agent
  session, small enough to review: about 5 to 30 minutes. Its agent sees only the task's `prompt` and the repository, not
  this plan or other tasks. So a prompt says what to do, where, what must not change, and how to see that it is done.
- A task is done when its `checks` pass: shell commands that run in the working copy. Use the real commands of this
  repository, as narrow as the task allows. Put checks that all tasks share into `defaults.checks`.
- `depends_on` lets an epic wait until another one is merged. Use it only where the work really builds on the other.
- `needs` is finer: a single task waits for one task of another epic (`EPIC/TASK`), and everything else runs on. Prefer it
  to `depends_on` if only one later task needs the other epic.
- Keep chains short, so that agents do not wait for each other. A small goal is a plan with one epic and one or two tasks;
  do not invent work.
- Give every task an `estimate`.
- Agents ask before they run a command, except those that `permissions.allow` names: allow the commands of the checks, for
  example `Bash(make test:*)`."""

_HANDING_OVER: Final = """\
# Your answer

End with one fenced block that starts with ```yaml and has the whole plan. Write no second plan. Before it, say in a few
sentences why you divided the work in this way, what you assumed and what you left out; a person reads that before anything
starts. If something is unclear, make the most sensible assumption and name it. Heddle checks the plan, and tells you
what is wrong with it."""

# Tests check that it is a valid plan without remarks.
EXAMPLE: Final = """\
name: Search for books
defaults:
  agent: {agent}
  retries: 1
  timeout: 30m
  permissions:
    allow: ["Bash(make test:*)"]
  checks:
    - {{name: tests, run: make test}}
epics:
  - key: api
    title: Search API
    touches: ["api/**", "tests/api/**"]
    tasks:
      - key: endpoint
        title: Add GET /search
        estimate: 15m
        prompt: |
          Add GET /search?q=TEXT in api/routes.py, next to /books. It returns the books whose title or author
          contains TEXT, ignoring case, as JSON like /books. Add tests in tests/api/test_search.py.
  - key: page
    title: Search page
    touches: ["web/**"]
    tasks:
      - key: box
        title: Add a search box
        estimate: 10m
        prompt: |
          Add a search box to web/index.html that filters the list of books while one types, with sample data.
      - key: live
        title: Search on the server
        needs: [api/endpoint]
        estimate: 10m
        prompt: |
          Let the search box of web/index.html call GET /search instead of filtering the sample data.
"""


def draft_prompt(goal: str, sources: Sequence[pb.DraftSource], ready: Sequence[str], proposed: str) -> str:
    """Returns the first prompt. `ready` are the agents that can work; the plan should name `proposed`."""
    parts = [_BEGINNING]
    if goal.strip():
        parts.append(f"# The goal\n\n{goal.strip()}")
    if sources:
        parts.append("\n\n".join(sources_of(sources)))
    parts += [
        _HOW_TO_WORK,
        RULES,
        agents(ready, proposed),
        format_of_plans(),
        _example(proposed),
        _HANDING_OVER,
    ]
    return "\n\n".join(parts) + "\n"


def round_prompt(prompt: str, draft: pb.Draft, *, remembers: bool, current: str = "") -> str:
    """Returns the prompt after a draft that must be changed.

    `remembers`: the agent still knows its last answer; otherwise the prompt repeats it. `current`: the plan to
    change, if it has changed since the agent was given it.
    """
    parts = [prompt.rstrip(), "---", *_remarks(draft)]
    if current:
        parts.append(f"This is the plan now. Make your change to it again:\n\n{fenced(current, 'yaml')}")
    if draft.text and not remembers:
        parts.append(f"Your last answer was:\n\n{fenced(_start_of(draft.text, _MOST_TEXT_BYTES))}")
    parts.append("Answer again as described above, with the whole plan.")
    return "\n\n".join(parts) + "\n"


def declined(draft: pb.Draft) -> bool:
    """Returns whether an agent that was to change a plan wrote none."""
    return [each.message for each in draft.problems] == [NO_REVISION]


def remark_line(remark: pb.PlanRemark) -> str:
    """Returns a remark as one line: `line 3: epics[0].key: is missing`."""
    place = f"line {remark.line}: " if remark.line else ""
    field = f"{remark.field}: " if remark.field else ""
    return f"{place}{field}{_start_of(remark.message, _MOST_REMARK_BYTES)}"


def sources_of(sources: Sequence[pb.DraftSource]) -> Iterator[str]:
    """Yields the parts of a prompt with texts that describe the work."""
    yield (
        "# Sources\n\nThe work is described in these texts. Give each task the key `source` with the name of the text and the"
        " heading that it comes from, as NAME#HEADING."
    )
    for source in sources:
        yield f'<source name="{source.name}">\n{source.text.strip()}\n</source>'


def agents(ready: Sequence[str], proposed: str, *, revises: bool = False) -> str:
    """Returns the part of a prompt about agents. `revises`: of an existing plan, whose tasks have agents."""
    text = f"Set `defaults.agent` to `{proposed or SCRIPTED}`."
    if revises:
        text = f"Leave the agents of the plan as they are; where an agent is missing, use `{proposed or SCRIPTED}`."
    others = [agent for agent in ready if agent != proposed]
    if others:
        text += f" Other agents that can work: {', '.join(others)}. Use one only if the goal asks for it."
    return f"# Agents\n\n{text} Do not name models."


@cache
def format_of_plans() -> str:
    """Returns the part of a prompt that describes the keys of plan files."""
    from heddle.plan.format_text import format_text  # noqa: PLC0415 (builds the models of plan files, which few runs need)

    return f"# The format\n\nYAML with these keys; most are optional.\n\n{format_text(_LEFT_OUT)}"


def _example(proposed: str) -> str:
    return f"An example of the form, not of the content:\n\n````\n{EXAMPLE.format(agent=proposed or SCRIPTED)}````"


def _remarks(draft: pb.Draft) -> Iterator[str]:
    """Yields what is wrong; warnings only if nothing is."""
    found = draft.problems or draft.warnings
    if draft.problems:
        yield "[Heddle] Your last answer cannot be used:"
    else:
        yield (
            "[Heddle] Your last plan is valid. Consider these remarks: change the plan where they are right. Where they are"
            " not, leave it and say why in your reasons."
        )
    lines = [f"- {remark_line(each)}" for each in found[:_MOST_REMARKS]]
    if len(found) > _MOST_REMARKS:
        lines.append(f"- and {len(found) - _MOST_REMARKS} more")
    yield "\n".join(lines)


def _start_of(text: str, limit: int) -> str:
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[:limit].decode(errors="ignore") + "…"
