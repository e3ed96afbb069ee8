"""Runs whose epics work in pods of a Kubernetes cluster, played by local processes behind a mock of its API."""

import sys
from pathlib import Path

import pytest
import yaml

from heddle import pb, samples
from heddle.plan.file import load
from tests.support.places import events_of
from tests.support.pod_fleet import pod_fleet, waiting_plan
from tests.support.repositories import git, make_repository
from tests.support.scheduler import eventually

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems have one loopback address only"
)


@pytest.mark.timeout(400)
async def test_the_sample_plan_runs_in_pods(tmp_path: Path) -> None:
    """Each epic of the sample plan works in a pod of its own and is merged; after the run, no pod is left."""
    repository = tmp_path / "sample"
    samples.make_sample_repository(repository)
    plan = samples.faster(load(samples.PLAN).plan, 1000)
    async with (
        pod_fleet(tmp_path / "fleet", repository) as fleet,
        fleet.fleet.client(patience=60) as client,
    ):
        request = pb.CreateRunRequest(plan=plan, project=fleet.url, max_parallel=3)
        run = (await client.create_run(request)).name
        told: list[pb.Event] = []
        async for answer in client.watch_run(run):
            for event in answer.events:
                told.append(event)
                if event.HasField("merge_waiting"):
                    await client.retry_merge(f"{run}/epics/{event.epic}")
        ended = await client.get_run(run)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        started = [event for event in told if event.HasField("task_started")]
        places = {(event.epic, event.task_started.worker) for event in started}
        assert len(places) == len(plan.epics) == len({worker for _, worker in places})
        for epic, worker in places:
            assert worker == f"heddle-{run.removeprefix('runs/')}-{epic}-1"
        await eventually(lambda: fleet.kubernetes.names() == [])
        assert "todo/store.py" in git(fleet.remote, "ls-tree", "-r", "--name-only", ended.branch).split()


async def test_pods_that_are_lost_use_no_retry(tmp_path: Path) -> None:
    """A lost node and an eviction each cost an attempt and no retry: the epic continues in its next pod.

    A leader that is replaced in between finds the pods of the earlier one, and removes them in the end.
    """
    repository = make_repository(tmp_path / "repository")
    async with (
        pod_fleet(tmp_path / "fleet", repository) as fleet,
        fleet.fleet.client(patience=60) as client,
    ):
        request = pb.CreateRunRequest(plan=waiting_plan("a", "b"), project=fleet.url, max_parallel=2)
        run = (await client.create_run(request)).name
        await fleet.at_work("a-one-1", "b-one-1")
        fleet.let_go("a-one")
        await fleet.at_work("a-two-1")
        a1, b1 = pods = fleet.kubernetes.names()
        assert pods == [f"heddle-{run.removeprefix('runs/')}-{epic}-1" for epic in ("a", "b")]

        await fleet.nodes.lose_node(a1)
        await fleet.at_work("a-two-2")
        await fleet.nodes.evict(b1)
        await fleet.at_work("b-one-2")
        await eventually(lambda: b1 not in fleet.kubernetes.names())
        a2, b2 = pods = fleet.kubernetes.names()

        fleet.fleet.kill("scheduler_svc")
        await fleet.fleet.start("scheduler_svc")
        assert fleet.kubernetes.names() == [a2, b2]
        fleet.let_go("all")
        told = await events_of(client, run)
        ended = await client.get_run(run)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        moved = [event.epic_moved for event in told if event.HasField("epic_moved")]
        assert [(each.from_worker, each.reason) for each in moved] == [
            (pod, f"{pod} was lost (no retry used)") for pod in (a1, b1)
        ]
        assert [each.to_worker for each in moved] == [a2, b2]
        for epic, task, states in (("a", "one", 0), ("a", "two", 1), ("b", "one", 1), ("b", "two", 0)):
            found = [each.state for each in await client.list_attempts(f"{run}/epics/{epic}/tasks/{task}")]
            assert found == [pb.ATTEMPT_STATE_LOST] * states + [pb.ATTEMPT_STATE_ACCEPTED]
        assert fleet.merged(ended.branch) == {
            "a-one.txt": "1",
            "a-two.txt": "2",
            "b-one.txt": "2",
            "b-two.txt": "1",
        }
        await eventually(lambda: fleet.kubernetes.names() == [])


async def test_a_pod_that_cannot_be_reached_is_replaced(tmp_path: Path) -> None:
    """When the lease of a pod behind a partition has ended, its epic continues in another pod, and the old one is removed.

    How often that happens on a busy machine is not certain; each time, the attempt is lost and nothing else.
    """
    repository = make_repository(tmp_path / "repository")
    async with (
        pod_fleet(tmp_path / "fleet", repository, lease=10) as fleet,
        fleet.fleet.client(patience=60) as client,
    ):
        run = (await client.create_run(pb.CreateRunRequest(plan=waiting_plan("a"), project=fleet.url))).name
        await fleet.at_work("a-one-1")
        (first,) = fleet.kubernetes.names()
        fleet.nodes.freeze(first)
        await eventually(lambda: first not in fleet.kubernetes.names())
        fleet.let_go("all")
        await events_of(client, run)
        ended = await client.get_run(run)
        assert ended.state == pb.RUN_STATE_SUCCEEDED, ended.reason
        attempts = await client.list_attempts(f"{run}/epics/a/tasks/one")
        *lost, accepted = [each.state for each in attempts]
        assert (set(lost), accepted) == ({pb.ATTEMPT_STATE_LOST}, pb.ATTEMPT_STATE_ACCEPTED)


async def test_what_a_pod_waits_for_is_shown(tmp_path: Path) -> None:
    """A run without room for its pods says so and starts when there is some; a pod that can never run fails its task."""
    repository = make_repository(tmp_path / "repository")
    async with (
        pod_fleet(tmp_path / "fleet", repository, room=0) as fleet,
        fleet.fleet.client(patience=60) as client,
    ):
        plan = waiting_plan("a", "b")
        fleet.let_go("all")
        run = (await client.create_run(pb.CreateRunRequest(plan=plan, project=fleet.url))).name

        async def is_told() -> bool:
            return "0/0 nodes are available" in (await client.get_run(run)).waits_for

        await eventually(is_told)
        assert (await client.get_run(run)).waits_for.startswith(
            "waiting for 2 places: no node of the cluster"
        )
        pod = f"heddle-{run.removeprefix('runs/')}-b-1"
        waiting = {"reason": "ImagePullBackOff", "message": "manifest unknown"}
        container = {"name": "agent", "image": "agents:x", "state": {"waiting": waiting}}
        await fleet.kubernetes.status(pod, containerStatuses=[container])

        async def has_failed() -> bool:
            return (await client.list_tasks(f"{run}/epics/b"))[0].state == pb.TASK_STATE_FAILED

        await eventually(has_failed)
        await fleet.nodes.make_room(2)
        told = await events_of(client, run)
        failed = [event.task_failed.reason for event in told if event.HasField("task_failed")]
        assert failed[0] == (
            "the image agents:x of container agent cannot be pulled (ImagePullBackOff: manifest unknown)"
        )
        states = {each.key: each.state for each in await client.list_epics(run)}
        assert states["a"] == pb.EPIC_STATE_SUCCEEDED
        assert states["b"] == pb.EPIC_STATE_FAILED
        await eventually(lambda: fleet.kubernetes.names() == [])

        # What the operator can add to the template is waited for, and a changed template is used at once.
        plan = waiting_plan("c")
        plan.epics[0].place["gpu"] = "true"
        plan.resources["memory"] = "64Mi"
        run = (await client.create_run(pb.CreateRunRequest(plan=plan, project=fleet.url))).name

        async def asks_for_label() -> bool:
            return "no pod offers gpu=true" in (await client.get_run(run)).waits_for

        await eventually(asks_for_label)
        template = yaml.safe_load(fleet.template.read_text())
        template["labels"] = {"gpu=true": {"spec": {"nodeSelector": {"accelerator": "nvidia"}}}}
        fleet.template.write_text(yaml.safe_dump(template))
        await eventually(lambda: len(fleet.kubernetes.names()) == 1)
        (pod,) = fleet.kubernetes.names()
        made = fleet.kubernetes.pod(pod)["spec"]
        assert made["nodeSelector"] == {"accelerator": "nvidia"}
        asked = {each["name"]: each.get("resources", {}).get("requests", {}) for each in made["containers"]}
        assert asked["agent"]["memory"] == "64Mi"
        assert "memory" not in asked["worktree"]
        assert not (await client.get_run(run)).remark
        await events_of(client, run)
        assert (await client.get_run(run)).state == pb.RUN_STATE_SUCCEEDED
