"""The parts of the contract that clients in other languages depend on."""

import re
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest

from heddle import errors, pb
from tests.unit.repo.files import committed, relative

# Clients switch on these names, so a rename breaks them without an error.
KINDS = """
run_created run_started run_paused run_resumed run_finished run_updated plan_applied permission_revoked
epic_ready epic_started epic_finished epic_added epic_changed epic_removed epic_moved run_moved epic_waits
worktree_created worktree_removed teardown_finished worktree_restored
task_started task_waiting task_accepted task_failed task_skipped task_added task_reopened task_changed task_removed review_requested review_finished candidates_started candidate_passed candidate_chosen changes_found ignored_files_left submodules_not_filled
session_started output tool_started tool_finished message screenshot usage check_finished
approval_requested approval_resolved session_finished session_silent surroundings_changed setup_finished background_work agent_session
conflict_predicted merge_started merge_finished merge_conflicted conflict_cleared wrote_outside merge_waiting merge_requested merge_check_finished
push_failed merge_held base_moved sync_requested sync_finished sync_conflicted
budget_reached hold_lifted
output_left_out
worker_joined worker_lost worker_full run_waits
environment_fault environment_recovered
"""

EVENT_ENVELOPE = ["run", "sequence", "time", "actor", "epic", "task", "attempt"]

RPC = re.compile(r"((?:^ *//.*\n)*)^ *rpc (\w+)\(", re.MULTILINE)
SERVICE = re.compile(r"((?:^//.*\n)+)^service (\w+) ", re.MULTILINE)
CODE = re.compile(r"^ *// - ([A-Z_]+)((?: / [A-Z_]+(?:,\s+(?://\s+)?[A-Z_]+)*)?)[:.]", re.MULTILINE)


class Rpc(NamedTuple):
    """An RPC and its documentation in the proto file."""

    name: str
    comment: str


def rpcs() -> list[Rpc]:
    return [
        Rpc(f"{path.stem}.{name}", comment)
        for path in committed("protos/*_service.proto")
        for comment, name in RPC.findall(path.read_text())
    ]


def documented_errors(comment: str) -> list[tuple[str, str]]:
    """Returns each (code, reason) that a comment lists; the reason is empty if it names none."""
    pairs = []
    for code, reasons in CODE.findall(comment):
        names = re.findall(r"[A-Z_]{2,}", reasons)
        pairs += [(code, name) for name in names or [""]]
    return pairs


def test_event_kinds_are_what_clients_know() -> None:
    """The payloads of an event have exactly the published names."""
    assert [field.name for field in pb.Event.DESCRIPTOR.oneofs_by_name["payload"].fields] == KINDS.split()


def test_event_envelope() -> None:
    """Every event names its place, time and actor next to its payload."""
    outside = [field.name for field in pb.Event.DESCRIPTOR.fields if field.containing_oneof is None]
    assert outside == EVENT_ENVELOPE


def test_every_rpc_is_found() -> None:
    """The parser of these tests finds every RPC of the contract."""
    described = {
        f"{path.stem}.{method.name}"
        for path in committed("protos/*_service.proto")
        for service in import_module(f"heddle.v1.{path.stem}_pb2").DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert {rpc.name for rpc in rpcs()} == described


@pytest.mark.parametrize("rpc", rpcs(), ids=lambda rpc: rpc.name)
def test_rpc_says_what_it_does(rpc: Rpc) -> None:
    """Every RPC has a comment; its codes are valid, and each reason is listed under its own code."""
    assert rpc.comment.strip(), f"{rpc.name} has no comment"
    for code, reason in documented_errors(rpc.comment):
        status = grpc.StatusCode[code]
        if reason:
            number = pb.ErrorReason.Value(f"ERROR_REASON_{reason}")
            assert errors.HeddleError(number, "").code is status, f"{code} / {reason}"


@pytest.mark.parametrize("path", committed("protos/*_service.proto"), ids=relative)
def test_service_opens_with_a_paragraph(path: Path) -> None:
    """Every service says who calls it and why it exists."""
    ((comment, _),) = SERVICE.findall(path.read_text())
    assert len(comment.splitlines()) >= 3


def test_reasons_name_their_code() -> None:
    """The comment of every error reason names its status code."""
    (path,) = committed("protos/*/error_reason.proto")
    entries = re.findall(r"((?: *//.*\n)+) *ERROR_REASON_(\w+) = \d+;", path.read_text())
    assert {name for _, name in entries} | {"UNSPECIFIED"} == {
        name.removeprefix("ERROR_REASON_")
        for name in pb.ErrorReason.keys()  # noqa: SIM118 (an enum wrapper)
    }
    for comment, name in entries:
        code = errors.HeddleError(pb.ErrorReason.Value(f"ERROR_REASON_{name}"), "").code
        assert comment.strip().startswith(f"// {code.name}"), name


def test_no_status_without_a_reason() -> None:
    """The catalogue contains only reasons of the contract."""
    known = set(pb.ErrorReason.values()) - {pb.ERROR_REASON_UNSPECIFIED}
    assert set(errors._STATUS) == known
