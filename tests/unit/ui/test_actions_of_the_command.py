"""The web app can do what the command can, or a reason is recorded why not."""

import re
from typing import Final

import typer
from fastapi import FastAPI

from heddle.cli import app as command
from heddle.client import HeddleClient
from tests.unit.repo.files import ROOT
from ui_svc.endpoints import router
from ui_svc.endpoints.addresses import ATTEMPT, EPIC, RUN, TASK

# By command: the endpoints that the pages call. GET where the page shows what the command prints.
ENDPOINTS: Final = {
    "run": ["POST /runs", f"POST {RUN}:again"],
    "draft": ["POST /drafts", f"GET {RUN}/draft"],
    "ls": ["GET /runs"],
    "events": [f"GET {RUN}/turns"],
    "logs": [f"GET {ATTEMPT}/events"],
    "pause": [f"POST {RUN}:pause"],
    "resume": [f"POST {RUN}:resume"],
    "set": [f"POST {RUN}:set"],
    "cancel": [f"POST {RUN}:cancel"],
    "apply": [f"GET {RUN}/plan", f"POST {RUN}/plan:apply"],
    "approve": [f"POST {ATTEMPT}:resolve"],
    "deny": [f"POST {ATTEMPT}:resolve"],
    "revoke": [f"POST {RUN}:revoke"],
    "say": [f"POST {ATTEMPT}:send"],
    "stop": [f"POST {ATTEMPT}:stop"],
    "retry": [f"POST {TASK}:retry", f"POST {TASK}:resume", f"POST {TASK}:retryFromHere"],
    "skip": [f"POST {TASK}:skip"],
    "choose": [f"POST {TASK}:choose"],
    "lift": ["POST /holds:lift"],
    "add": [f"POST {EPIC}/tasks"],
    "conflicts": [f"GET {RUN}/conflicts"],
    "merge": [f"POST {EPIC}:merge"],
    "push": [f"POST {RUN}:push"],
    "resolve": [f"POST {EPIC}:resolve"],
    "drop": [f"POST {EPIC}:drop"],
    "sync": [f"POST {RUN}:sync", f"POST {EPIC}:sync"],
    "costs": ["GET /costs"],
    "plan check": ["POST /plan:check"],
    "plan simulate": ["POST /plan:check"],
    "plan split": [f"POST {RUN}/plan:revise"],
    "plan rest": [f"POST {RUN}/plan:revise"],
}

# By command: the page that shows it, live or as a form, without an endpoint of its own.
PAGES: Final = {
    "show": "ui_svc/web/src/board/Board.vue",
    "watch": "ui_svc/web/src/board/Board.vue",
    "approvals": "ui_svc/web/src/frame/AttentionPanel.vue",
    "holds": "ui_svc/web/src/run/RunHeader.vue",
    "reviews": "ui_svc/web/src/session/tabs/TabQuality.vue",
    "worktrees": "ui_svc/pages/manage/worktrees.py",
    "restore": "ui_svc/pages/manage/worktrees.py",
    "workers drain": "ui_svc/pages/manage/workers.py",
    "workers undrain": "ui_svc/pages/manage/workers.py",
    "doctor": "ui_svc/pages/manage/about.py",
    "version": "ui_svc/pages/manage/about.py",
    "audit": "ui_svc/pages/manage/audit.py",
    "tokens create": "ui_svc/pages/manage/people.py",
    "tokens list": "ui_svc/pages/manage/people.py",
    "tokens revoke": "ui_svc/pages/manage/people.py",
}

# By command: why the web app does not have it.
LEFT_OUT: Final = {
    "up": "It starts the services, of which the web app is one.",
    "demo": "It starts the services with a sample.",
    "open": "It signs a browser in; a page that is open is signed in.",
    "token": "A page must not show a credential of the operator's machine.",
    "certs": "It writes private keys to files of the operator's machine.",
    "repair-epochs": "It runs next to a worker that refuses its leader, with the worker's files.",
    "gc": "The leader does it every hour; a single worktree is removed on the page of worktrees.",
    "schedule create": "Schedules have no page yet.",
    "schedule list": "Schedules have no page yet.",
    "schedule pause": "Schedules have no page yet.",
    "schedule resume": "Schedules have no page yet.",
    "schedule delete": "Schedules have no page yet.",
}

# What a page of src/ calls, as the end of the path; a word after a placeholder is what a component adds.
_CALLED: Final = {
    f"POST {ATTEMPT}:resolve": ":resolve`",
    f"POST {RUN}:pause": 'change(paused ? "resume" : "pause")',
    f"POST {RUN}:resume": ":resume`",
    f"POST {TASK}:retryFromHere": '"retryFromHere"',
    f"GET {RUN}/turns": "/turns?",
    f"GET {ATTEMPT}/events": "/events?",
    "GET /runs": "runs?page_token",
    "POST /runs": 'post("runs"',
    "POST /drafts": 'post("drafts"',
    "GET /costs": "costs?",
}


def _commands(group: typer.Typer, prefix: str = "") -> set[str]:
    """Returns the commands of a group and its groups, as they are typed."""
    found = set()
    for each in group.registered_commands:
        name = each.name or (each.callback.__name__.replace("_", "-") if each.callback else "")
        found.add(prefix + name)
    for sub in group.registered_groups:
        if sub.typer_instance is not None:
            found |= _commands(sub.typer_instance, f"{prefix}{sub.name} ")
    return found


def test_each_command_has_an_action_a_page_or_a_reason() -> None:
    """A new command is not forgotten in the web app, and a removed one is not kept in these lists."""
    told = [*ENDPOINTS, *PAGES, *LEFT_OUT]
    assert len(told) == len(set(told))
    assert set(told) == _commands(command.app)
    assert all(len(reason) > 20 for reason in LEFT_OUT.values())


async def test_each_action_exists_and_a_page_calls_it() -> None:
    """Each endpoint is served, and the browser code has a call of it; each page exists."""
    app = FastAPI()
    async with HeddleClient("127.0.0.1:1", token="") as client:
        router.install(app, client, lambda _: client, one_machine=True)
    served = {
        f"{method.upper()} {path.removeprefix('/api')}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    source = "\n".join(
        path.read_text()
        for path in sorted((ROOT / "ui_svc" / "web" / "src").rglob("*"))
        if path.suffix in {".ts", ".vue"}
    )
    for name, endpoints in ENDPOINTS.items():
        for endpoint in endpoints:
            assert endpoint in served, name
            ending = re.split(r"\{\w+\}", endpoint)[-1].split(" /")[-1]
            assert _CALLED.get(endpoint, ending) in source, f"{name}: {endpoint}"
    for name, page in PAGES.items():
        assert (ROOT / page).is_file(), name
