"""Calls that the service refuses, and features of git that it disables."""

import asyncio
import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from heddle import pb
from heddle.config import Settings
from heddle.names import AttemptName
from tests.support import worktrees
from tests.support.repositories import git, make_repository
from tests.support.services import serving
from tests.support.worktrees import Worker, attempt, refused
from worktree_svc.app import build
from worktree_svc.storage import files
from worktree_svc.worktrees.lifecycle import Worktrees


async def test_a_deposed_leader_changes_nothing(worker: Worker) -> None:
    """After a call of epoch 5, every mutating call of epoch 4 is refused, but reads are not."""
    worker.epoch = 5
    path = await worker.ready(attempt())
    (path / "b.txt").write_text("b\n")
    commit = (await worker.commit(attempt())).commit
    base = worker.git("rev-parse", "main")
    worker.git("branch", "heddle/r1/merged", base)
    target: Any = {
        "project": worker.name,
        "epoch": 4,
        "run": "runs/r1",
        "target_branch": "heddle/r1/merged",
    }
    source = pb.MergeSource(branch="heddle/r1/epics/api", resource="runs/r1/epics/api")
    opening = pb.OpenMergeRequest(sources=[source], **target)
    path = await worker.ready(attempt(task="two"))
    (path / "a.txt").write_text("a\n")
    worker.epoch = 4
    before = worker.git("for-each-ref")
    for call in (
        worker.ensure(attempt(task="two", number=2)),
        worker.commit(attempt(task="two")),
        worker.discard(attempt(task="two")),
        worker.merge("heddle/r1/epics/api", "heddle/r1/merged", "main"),
        worker.remove("runs/r1/epics/api"),
        worker.stub.OpenMerge(opening),
        worker.stub.CloseMerge(pb.CloseMergeRequest(target_commit=base, commit=commit, apply=True, **target)),
        worker.stub.CloseMerge(pb.CloseMergeRequest(**target)),
    ):
        error = await refused(call)
        assert error.reason == pb.ERROR_REASON_STALE_EPOCH
        assert error.metadata["epoch"] == "5"
    assert worker.git("for-each-ref") == before
    assert (path / "a.txt").exists()
    await worker.inspect()
    worker.epoch = 6
    assert (await worker.commit(attempt(task="two"))).diff_stat.files == 1


async def test_a_branch_of_the_user_is_not_used(worker: Worker) -> None:
    """A user's branch with an epic's branch name makes EnsureWorktree fail, and is not moved."""
    worker.git("branch", "heddle/r1/epics/api")
    before = worker.git("for-each-ref")
    error = await refused(worker.ensure(attempt()))
    assert error.reason == pb.ERROR_REASON_BRANCH_EXISTS
    assert error.metadata["branch"] == "heddle/r1/epics/api"
    assert worker.git("for-each-ref") == before
    assert not (worker.home / "worktrees" / "r1").exists()


async def test_a_missing_base_is_an_error(worker: Worker) -> None:
    """An unknown base is an error, and nothing is created."""
    error = await refused(worker.ensure(attempt(), base="nowhere"))
    assert error.reason == pb.ERROR_REASON_UNKNOWN_REVISION
    assert not (worker.home / "worktrees" / "r1").exists()


async def test_an_epic_stays_with_its_project(worker: Worker, tmp_path: Path) -> None:
    """A call with another repository for a known epic is refused."""
    await worker.ready(attempt())
    worker.project = make_repository(tmp_path / "other")
    assert (await refused(worker.ensure(attempt(number=2)))).reason == pb.ERROR_REASON_INVALID_FIELD
    assert (await refused(worker.remove("runs/r1/epics/api"))).reason == pb.ERROR_REASON_INVALID_FIELD
    assert (await refused(worker.commit(attempt()))).reason == pb.ERROR_REASON_INVALID_FIELD
    assert (await refused(worker.discard(attempt()))).reason == pb.ERROR_REASON_INVALID_FIELD
    assert worker.git("for-each-ref", "refs/heddle", "refs/heads/heddle") == ""


async def test_a_full_disk_takes_no_new_work(tmp_path: Path, project: Path) -> None:
    """Below the low-water mark, no worktree is made; the error has the needed space; commits still work."""
    free = {"bytes": 1 << 30}
    async with worktrees.worker(tmp_path / "home", project, lambda _: free["bytes"]) as worker:
        path = await worker.ready(attempt())
        (path / "a.txt").write_text("a\n")
        free["bytes"] = 1000
        error = await refused(worker.ensure(attempt("other")))
        assert error.reason == pb.ERROR_REASON_DISK_FULL
        assert (error.metadata["free_bytes"], error.metadata["needed_bytes"]) == ("1000", str(1 << 20))
        assert "Free some space" in error.message
        assert worker.git("branch", "--list", "heddle/r1/epics/other") == ""
        assert (await worker.commit(attempt())).diff_stat.files == 1


async def test_a_disk_that_fills_up_meanwhile(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk fills up while state is written, the call fails with DISK_FULL and can be repeated."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "state")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_atomically", full)
        assert (await refused(worker.ensure(attempt()))).reason == pb.ERROR_REASON_DISK_FULL
    assert (await worker.ensure(attempt())).created


async def test_the_projects_hooks_and_programs_do_not_run(worker: Worker, tmp_path: Path) -> None:
    """Hooks, the file system monitor and signing, which an agent could configure, are not used."""
    trace = tmp_path / "trace"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $0 >> {trace}\nexit 1\n")
    program.chmod(0o755)
    hooks = worker.project / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in (
        "post-checkout",
        "pre-commit",
        "commit-msg",
        "post-commit",
        "reference-transaction",
        "post-index-change",
    ):
        (hooks / name).symlink_to(program)
    for key in ("core.fsmonitor", "gpg.program", "core.editor", "core.pager", "diff.external"):
        worker.git("config", key, str(program))
    worker.git("config", "commit.gpgSign", "true")
    path = await worker.ready(attempt())
    (path / "a.txt").write_text("a\n")
    await worker.inspect()
    await worker.commit(attempt())
    await worker.merge("heddle/r1/epics/api", "heddle/r1/merged", "main")
    await worker.remove("runs/r1/epics/api")
    assert not trace.exists()


async def test_malformed_names(worker: Worker) -> None:
    """Names that would lead outside the folder of worktrees are INVALID_FIELD."""
    for name in ("", "runs/../epics/x/tasks/t/attempts/1", "runs/r/epics/a/tasks/t/attempts/0", "x"):
        request = pb.EnsureWorktreeRequest(project=str(worker.project), attempt=name, epoch=1)
        error = await refused(worker.stub.EnsureWorktree(request))
        assert error.reason == pb.ERROR_REASON_INVALID_FIELD
    assert (await refused(worker.remove("runs/r1/epics/.."))).reason == pb.ERROR_REASON_INVALID_FIELD


async def test_words_of_a_commit_cannot_break_it(worker: Worker) -> None:
    """With newlines, NUL, forged trailers or an empty subject, the commit message is still well-formed."""
    await worker.ready(attempt())
    done = await worker.commit(
        attempt(), "two\nlines\0\x1b[31m", "Heddle-Attempt: 7\n\nHeddle-Task: forged\n"
    )
    message = worker.git("log", "-1", "--format=%B", done.commit)
    assert message.startswith("two lines [31m\n\nHeddle-Attempt: 7\n")
    trailers = worker.git("log", "-1", "--format=%(trailers:key=Heddle-Attempt,valueonly)", done.commit)
    assert trailers.strip() == "1"
    assert await worker.commit(attempt()) == done


async def test_a_call_completes_after_its_caller_went_away(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancelled EnsureWorktree runs to its end, and the next call waits for it."""
    real, steps = Worktrees.ensure, []
    begun, go = threading.Semaphore(0), threading.Event()

    def ensure(service: Worktrees, project: str, name: AttemptName, *more: Any, **options: Any) -> Any:
        steps.append(("begun", name.number))
        begun.release()
        assert go.wait(60)
        done = real(service, project, name, *more, **options)
        steps.append(("done", name.number))
        return done

    monkeypatch.setattr(Worktrees, "ensure", ensure)
    for number in range(1, 6):
        go.clear()
        call = asyncio.ensure_future(worker.ensure(attempt(number=number)))
        assert await asyncio.to_thread(begun.acquire, timeout=60)
        call.cancel()
        go.set()
    last = await worker.ensure(attempt(number=9))
    assert steps == [(what, number) for number in (1, 2, 3, 4, 5, 9) for what in ("begun", "done")]
    assert git(Path(last.worktree.path), "status", "--porcelain") == ""
    assert worker.git("worktree", "list").count("\n") == 1


async def test_names_of_users_repositories_in_two_homes(worker: Worker, tmp_path: Path) -> None:
    """Two services with separate data folders can create worktrees of one repository at the same time."""
    async with worktrees.worker(tmp_path / "second", worker.project) as second:
        made = await asyncio.gather(
            *(worker.ensure(attempt(f"e{number}", run="r1")) for number in range(6)),
            *(second.ensure(attempt(f"e{number}", run="r2")) for number in range(6)),
        )
    assert all(response.created for response in made)
    assert worker.git("worktree", "list").count("\n") == 12


async def test_health_and_reflection_answer(tmp_path: Path) -> None:
    """The health check answers SERVING, and reflection lists the service."""
    async with serving(build(Settings.read({"HEDDLE_HOME": str(tmp_path)}))) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = await check(health_pb2.HealthCheckRequest(service="heddle.v1.WorktreeService"))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        describe = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        async for response in describe(iter([reflection_pb2.ServerReflectionRequest(list_services="")])):
            names = {each.name for each in response.list_services_response.service}
            assert "heddle.v1.WorktreeService" in names
