"""Mutual TLS: who a certificate says its owner is, and certificates that change."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from heddle import errors, pb
from heddle.config import ConfigError, Tls
from heddle.identity.guard import SchedulerOnly
from heddle.rpc import channels
from heddle.rpc.channels import open_channel
from heddle.rpc.serving import Server
from heddle.testing.fake_worker import FakeWorker
from heddle.v1.agent_service_pb2_grpc import AgentServiceStub
from tests.support import certificates


@asynccontextmanager
async def serving_worker(tls: Tls) -> AsyncIterator[str]:
    server = Server(FakeWorker().service(), "127.0.0.1:0", tls)
    await server.start()
    try:
        yield server.address
    finally:
        await server.stop()


async def is_served(address: str, tls: Tls) -> bool:
    async with open_channel(address, tls) as channel:
        answer = await AgentServiceStub(channel).GetWorker(pb.GetWorkerRequest(), timeout=20)
    return answer.HasField("worker")


async def test_the_scheduler_is_served(tmp_path: Path) -> None:
    """A worker serves a caller whose certificate says that it is the scheduler."""
    own = certificates.make(tmp_path / "set", "worker-local")
    async with serving_worker(own) as address:
        assert await is_served(address, certificates.of(tmp_path / "set", "scheduler"))


@pytest.mark.parametrize("owner", ["ui", "client", "worker-local"])
async def test_a_certificate_for_something_else_is_refused(tmp_path: Path, owner: str) -> None:
    """A certificate of the same authority that names another owner is refused, and the error says which."""
    own = certificates.make(tmp_path / "set", "worker-local")
    async with serving_worker(own) as address:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await is_served(address, certificates.of(tmp_path / "set", owner))
    error = errors.from_rpc(caught.value)
    assert error is not None
    assert error.reason == pb.ERROR_REASON_UNAUTHENTICATED
    assert f"heddle:{owner.replace('-', '/')}" in error.message


async def test_new_certificates_count_without_a_restart(tmp_path: Path) -> None:
    """After the files of a server were replaced, it serves who trusts the new authority, and no one else."""
    own = certificates.make(tmp_path / "set", "worker-local")
    certificates.make(tmp_path / "new")
    shutil.copytree(tmp_path / "set", tmp_path / "old")
    scheduler = certificates.of(tmp_path / "old", "scheduler")
    async with serving_worker(own) as address:
        assert await is_served(address, scheduler)
        for file in (tmp_path / "new").iterdir():
            file.rename(tmp_path / "set" / file.name)
        assert await is_served(address, certificates.of(tmp_path / "set", "scheduler"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await is_served(address, scheduler)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_client_uses_renewed_certificates_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After all files were replaced, a client reconnects with the new ones, and calls that were open continue."""
    monkeypatch.setattr(channels, "LOOK", 0.0)
    own = certificates.make(tmp_path / "set", "worker-local")
    certificates.make(tmp_path / "new")
    scheduler = certificates.of(tmp_path / "set", "scheduler")
    first = Server(FakeWorker().service(), "127.0.0.1:0", own)
    await first.start()
    async with open_channel(first.address, scheduler) as channel:
        stub = AgentServiceStub(channel)
        assert (await stub.GetWorker(pb.GetWorkerRequest(), timeout=20)).HasField("worker")
        health: Any = health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest())
        states = aiter(watch)
        assert (await anext(states)).status == health_pb2.HealthCheckResponse.SERVING
        for file in (tmp_path / "new").iterdir():
            file.rename(tmp_path / "set" / file.name)
        assert (await stub.GetWorker(pb.GetWorkerRequest(), timeout=20)).HasField("worker")
        await first.stop()
        assert (await anext(states)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        second = Server(FakeWorker().service(), first.address, own)
        await second.start()
        answer = await stub.GetWorker(pb.GetWorkerRequest(), timeout=20, wait_for_ready=True)
        assert answer.HasField("worker")
        await second.stop()


async def test_incomplete_files_keep_the_present_certificates(tmp_path: Path) -> None:
    """While the files are being replaced, the server goes on with the certificates that it has."""
    own = certificates.make(tmp_path / "set", "worker-local")
    async with serving_worker(own) as address:
        own.key.write_text("half a key")
        assert await is_served(address, certificates.of(tmp_path / "set", "scheduler"))


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "heddle-worker:7402"])
async def test_a_listener_that_others_can_reach_needs_tls(address: str) -> None:
    """Without TLS, a service refuses an address that other machines can reach, and says what to set."""
    with pytest.raises(ConfigError, match=r"HEDDLE_TLS_CERT.*127\.0\.0\.1"):
        Server(FakeWorker().service(), address)


async def test_a_worker_without_tls_refuses_loopback() -> None:
    """On loopback, any program of the machine could call a worker, so it listens on a socket or with TLS."""
    assert not SchedulerOnly.takes_tokens
    with pytest.raises(ConfigError, match="Unix socket"):
        Server(FakeWorker().service(), "127.0.0.1:0")
