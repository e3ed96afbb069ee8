"""The command that checks what works on this machine and how to fix what does not."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from heddle import pb
from heddle.cli.admin import ports
from heddle.cli.admin.health import is_serving, is_web_serving
from heddle.cli.admin.machine_checks import Finding, machine, repository
from heddle.cli.admin.ports import Endpoint, Endpoints
from heddle.cli.admin.repository_checks import filters
from heddle.cli.console import output, words
from heddle.cli.console.exit_codes import FAILED
from heddle.cli.console.failure import Failure
from heddle.cli.console.output import Json
from heddle.cli.plans import project_file
from heddle.client import HeddleClient, ServerUnreachable
from heddle.config import Settings
from heddle.errors import HeddleError
from heddle.identity import token_file

app = typer.Typer()

# How many of the newest runs are checked for faults.
_RUNS: Final = 100

MARKS = {True: "✓", False: "✗", None: "-"}


@app.command()
def doctor(
    repo: Annotated[
        Path | None,
        typer.Option("--repo", help="Also check this repository, and describe what its .heddle.yaml does."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check git, agents, ports, disk and services: what works, and how to fix what does not."""
    settings = Settings.read()
    findings = [*machine(settings), *output.run_async(_services(settings))]
    if repo:
        folder = repo.expanduser().absolute()
        findings += [*repository(folder, settings.min_free_bytes), *filters(folder, settings)]
        findings.append(_project(repo.expanduser()))
    for each in findings:
        if as_json:
            # No API message describes a finding; these names belong to this command.
            output.print_plain_json(asdict(each))
        else:
            output.line(_text(each))
    if any(each.ok is False for each in findings):
        raise typer.Exit(FAILED)


def _project(repo: Path) -> Finding:
    subject = f"project {repo}"
    try:
        found = project_file.read(repo, "")
    except Failure as failure:
        return Finding(
            subject, False, str(failure), "use the folder of a git repository with at least one commit"
        )
    if found.loaded and found.loaded.problems:
        return Finding(
            subject, False, found.loaded.describe(), "fix and commit it; docs/project.md lists all keys"
        )
    return Finding(subject, True, "\n    ".join(line.strip() for line in project_file.report(found)))


def _text(finding: Finding) -> str:
    advice = f"\n    {finding.advice}" if finding.advice else ""
    return f"{MARKS[finding.ok]} {finding.subject}: {finding.detail}{advice}"


async def _services(settings: Settings) -> list[Finding]:
    host, _, port = settings.scheduler.rpartition(":")
    if host not in {ports.HOST, "localhost"}:
        found = [await _remote(settings)]
    else:
        endpoints = Endpoints(int(port), settings.home)
        found = list(await asyncio.gather(*(_local(each, settings) for each in endpoints.all)))
    return found + await _workers(settings)


async def _remote(settings: Settings) -> Finding:
    serving = await is_serving(settings.scheduler, settings.tls)
    subject = f"scheduler at {settings.scheduler}"
    if serving:
        return Finding(subject, True, "is serving")
    return Finding(
        subject, False, "does not answer", "start it, or set HEDDLE_SCHEDULER to the right address"
    )


async def _local(endpoint: Endpoint, settings: Settings) -> Finding:
    subject = f"{endpoint.name} at {endpoint.address}"
    if endpoint.name == "ui":
        serving = await is_web_serving(endpoint.address)
    else:
        serving = await is_serving(endpoint.address, settings.tls)
    if serving:
        return Finding(subject, True, "is serving")
    if endpoint.port is None:
        return Finding(subject, None, "is not running; `heddle up` starts it")
    if ports.is_free(endpoint.port):
        return Finding(subject, None, "is not running; its port is free, and `heddle up` starts it")
    advice = (
        f"stop that program, or use other ports: heddle up --ports {ports.find_free()}"
        "; if it is a Heddle with TLS, set HEDDLE_TLS_CERT, HEDDLE_TLS_KEY and HEDDLE_TLS_CA here too"
    )
    return Finding(
        subject, False, f"does not answer, and its port is in use{ports.owner(endpoint.port)}", advice
    )


async def _workers(settings: Settings) -> list[Finding]:
    try:
        async with HeddleClient(
            settings.scheduler, settings.tls, token=token_file.of_client(settings), patience=0
        ) as client:
            workers = await client.list_workers()
            runs = (await client.list_runs(page_size=_RUNS)).runs
    except (HeddleError, ServerUnreachable):
        return [Finding("agents", None, "cannot be checked until the scheduler is running")]
    if not workers:
        return [
            Finding("workers", False, "the scheduler has none", "start one, or set HEDDLE_WORKERS for it")
        ]
    waits = [_waits(run) for run in runs if run.fault]
    return [finding for worker in workers for finding in worker_findings(worker)] + waits


def _waits(run: pb.Run) -> Finding:
    return Finding(run.name, False, f"is waiting: {words.plain(run.fault)}")


def worker_findings(worker: pb.Worker) -> list[Finding]:
    """Returns what a worker reports about itself and its agents."""
    if not worker.connected:
        advice = "start its agent_svc and worktree_svc; the scheduler connects to them automatically"
        return [Finding(worker.name, False, f"is not connected: {worker.reason}", advice)]
    slots = f"{worker.running_sessions} of {worker.slots} slots busy"
    agents = [
        Finding(
            f"agent {agent.name} on {worker.name}",
            # Not every agent is needed; a plan that uses a missing one is rejected.
            True if agent.available and not agent.needs_login else None,
            " ".join(filter(None, (agent.version, agent.detail))) or "can be started",
        )
        for agent in worker.agents
    ]
    return [Finding(worker.name, True, f"connected, {slots}"), _write_boundary(worker), *agents]


def _write_boundary(worker: pb.Worker) -> Finding:
    subject = f"write boundary on {worker.name}"
    found = worker.write_boundary
    if found.held:
        return Finding(subject, True, f"agents can write only to their own files, enforced by {found.detail}")
    detail = f"agents can write wherever agent_svc can: {found.detail}"
    # Agents also run without the boundary; their writes elsewhere are reported.
    return Finding(subject, None, detail, found.advice)
