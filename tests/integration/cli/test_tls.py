"""Heddle with certificates: all connections between its processes use mutual TLS."""

from pathlib import Path

from heddle.cli.admin.ports import Endpoints
from tests.integration.cli.server import QUICK, Server
from tests.support import certificates
from tests.support.commands import run, running
from tests.support.ports import free_base


async def test_only_who_has_a_certificate_is_served(tmp_path: Path) -> None:
    """A plan runs through all four services; a client without a valid certificate receives a clear error."""
    endpoints = Endpoints(free_base(), tmp_path / "home")
    mine = certificates.environment(certificates.make(tmp_path / "mine"))
    other = certificates.environment(certificates.make(tmp_path / "other"))
    plain = {"HEDDLE_HOME": str(tmp_path / "home"), "HEDDLE_SCHEDULER": endpoints.scheduler.address}
    async with running("up", "--ports", str(endpoints.base), env={**plain, **mine}) as up:
        await up.says("Heddle is up")
        server = Server(up, {**plain, **mine}, tmp_path)
        code, out, err = await server.heddle(
            "run", server.plan(QUICK), "--repo", str(server.repository()), "--wait"
        )
        assert code == 0, err
        assert "(3/3 tasks accepted" in out
        trusting = {**mine, "HEDDLE_TLS_CA": other["HEDDLE_TLS_CA"]}
        foreign = {**other, "HEDDLE_TLS_CA": mine["HEDDLE_TLS_CA"]}
        for certificate, cause in (
            ({}, "closed"),
            (foreign, "closed"),
            (trusting, "CERTIFICATE_VERIFY_FAILED"),
        ):
            code, _, err = await run("ls", env={**plain, **certificate})
            assert code
            assert "expects other certificates" in err
            assert cause in err
            assert "HEDDLE_TLS_CERT" in err
        up.interrupt()
        assert await up.exit_code() == 0
