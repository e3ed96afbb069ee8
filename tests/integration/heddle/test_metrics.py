"""Metrics for Prometheus: what services show while they work, and who may read it."""

import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from heddle import pb
from heddle.config import ConfigError
from heddle.rpc.metrics import exposed
from tests.support import certificates
from tests.support.fleet import GRPC_SERVICES, Fleet
from tests.support.repositories import make_repository
from tests.support.scheduler import eventually
from tests.unit.repo.files import ROOT

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    return {
        (each.name, frozenset(each.labels.items())): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def read(address: str, context: ssl.SSLContext | None = None) -> str:
    scheme = "http" if context is None else "https"
    with urllib.request.urlopen(f"{scheme}://{address}/metrics", timeout=20, context=context) as answer:  # noqa: S310 (loopback)
        return str(answer.read().decode())


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet(tmp_path_factory.mktemp("fleet") / "home", {"HEDDLE_METRICS": "127.0.0.1:0"})
    yield made
    made.stop()


def address_of(fleet: Fleet, service: str) -> str:
    (found,) = re.findall(r"metrics_served\s+address=(\S+)", fleet.log(service))
    return str(found)


async def test_services_show_what_they_do(fleet: Fleet, tmp_path: Path) -> None:
    """After a run the numbers of attempts, tokens, merges and calls are those of that run, and all are documented."""
    plan = pb.Plan(name="Measured")
    step = pb.ScriptStep
    usage = step.ReportUsage(model="m", input_tokens=1200, output_tokens=30, cost_usd_micros=250_000)
    for key, failing in (("a", False), ("b", True)):
        task = plan.epics.add(key=key).tasks.add(key="t", prompt="Go", agent="scripted", retries=0)
        task.script.append(step(usage=usage))
        task.script.append(step(write=step.WriteFile(path=f"{key}.txt", text=key)))
        if failing:
            task.script.append(step(fail=step.Fail(message="no")))
    await fleet.start(*GRPC_SERVICES)
    await fleet.start_web_app()
    async with fleet.client() as client:
        repository = make_repository(tmp_path / "repository")
        request = pb.CreateRunRequest(plan=plan, project=str(repository))
        run = (await client.create_run(request)).name
        async for _ in client.watch_run(run):
            pass
    texts = {service: read(address_of(fleet, service)) for service in (*GRPC_SERVICES, "ui_svc")}
    scheduler, agent = samples(texts["scheduler_svc"]), samples(texts["agent_svc"])
    assert value(scheduler, "heddle_leader") == 1
    assert value(scheduler, "heddle_leader_epoch") >= 1
    assert value(scheduler, "heddle_attempts_total", agent="scripted", outcome="succeeded") == 1
    assert value(scheduler, "heddle_attempts_total", agent="scripted", outcome="failed") == 1
    assert value(scheduler, "heddle_tokens_total", agent="scripted", kind="input") == 2400
    assert value(scheduler, "heddle_cost_usd_total", agent="scripted") == pytest.approx(0.5)
    assert value(scheduler, "heddle_merges_total", outcome="merged") == 1
    assert value(scheduler, "heddle_worker_connected", worker="local") == 1
    assert value(scheduler, "heddle_ingest_lag_seconds_count") >= 2
    service = {"grpc_service": "heddle.v1.SchedulerService", "grpc_code": "OK"}
    handled = "grpc_server_handled_total"
    assert value(scheduler, handled, grpc_type="unary", grpc_method="CreateRun", **service) == 1
    assert value(scheduler, handled, grpc_type="server_stream", grpc_method="WatchRun", **service) == 1
    assert value(agent, "heddle_sessions") == 0
    assert value(agent, "heddle_disk_free_bytes") > 0
    await eventually(
        lambda: value(samples(read(address_of(fleet, "scheduler_svc"))), "heddle_runs", state="running") == 0
    )
    check_documents(texts.values())


def check_documents(texts: Collection[str]) -> None:
    """The table in docs/operations.md lists exactly the metrics that exist, and the dashboard uses only those."""
    exist = {
        family.name
        for text in texts
        for family in text_string_to_metric_families(text)
        if family.name.startswith(("heddle_", "grpc_"))
    }
    # Those of the pool exist only where pods are made.
    import_module("scheduler_svc.pools.kubernetes.engine")
    of_pool = {
        family.name
        for family in REGISTRY.collect()
        if family.name.startswith(("heddle_pod", "heddle_kubernetes_"))
    }
    assert len(of_pool) == 5
    exist |= of_pool
    page = (ROOT / "docs" / "operations.md").read_text()
    listed = set(re.findall(r"^\| `((?:heddle|grpc)_\w+?)(?:_total)?`", page, re.MULTILINE))
    assert listed == exist
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "heddle.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    used = set(re.findall(r"\b(?:heddle|grpc_server)_\w+", " ".join(queries)))
    names = {
        sample.name
        for text in texts
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    names |= {
        sample.name for family in REGISTRY.collect() if family.name in of_pool for sample in family.samples
    }
    assert used - names == set()
    assert len(queries) > 10


def test_no_label_names_work() -> None:
    """No metric has the name of a run, epic, task or session as a label."""
    for folder in ("heddle", "scheduler_svc", "worktree_svc", "agent_svc", "ui_svc"):
        for path in (ROOT / folder).rglob("*.py"):
            for labels in re.findall(r"(?:Counter|Gauge|Histogram)\([^)]*\[([^\]]*)\]", path.read_text()):
                assert not re.search(r'"(run|epic|task|attempt|session|project)"', labels), path


def test_no_other_machine_reads_metrics_without_tls() -> None:
    """An address of other machines is refused without TLS, and the message says what to set."""
    with pytest.raises(ConfigError, match="HEDDLE_TLS_CERT"), exposed("0.0.0.0:0", None):
        pass


def test_a_port_in_use_is_reported() -> None:
    """A second service on the same port says which setting is wrong."""
    with (
        exposed("127.0.0.1:0", None) as address,
        pytest.raises(ConfigError, match=f"HEDDLE_METRICS is {address}"),
        exposed(address, None),
    ):
        pass


def test_with_tls_readers_need_a_certificate(tmp_path: Path) -> None:
    """With TLS, only a reader with a certificate of the same authority gets the metrics."""
    own = certificates.make(tmp_path / "set", "worker-local")
    other = certificates.of(tmp_path / "set", "client")
    trusting = ssl.create_default_context(cafile=str(own.authority))
    trusting.check_hostname = False
    with exposed("127.0.0.1:0", own) as address:
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            read(address, trusting)
        trusting.load_cert_chain(other.certificate, other.key)
        assert "python_info" in read(address, trusting)
