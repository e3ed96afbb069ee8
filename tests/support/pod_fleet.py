"""A scheduler whose epics run in pods: the mock of a cluster with its nodes, a home worker, and a remote over https."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from heddle import pb, sockets
from tests.support import certificates, cluster, smart_http
from tests.support.fleet import Fleet
from tests.support.kubelet import Kubelet, running_nodes, scheduler_tls, template
from tests.support.repositories import git
from tests.support.scheduler import eventually


@dataclass
class PodFleet:
    """The parts; the scheduler and the home worker are `fleet`."""

    fleet: Fleet
    kubernetes: cluster.Cluster
    nodes: Kubelet
    remote: Path
    url: str
    stage: Path
    template: Path

    async def at_work(self, *attempts: str) -> None:
        """Waits until attempts of `waiting_plan` have begun, given as EPIC-TASK-NUMBER."""
        await eventually(lambda: all((self.stage / f"at-{each}").exists() for each in attempts))

    def let_go(self, task: str) -> None:
        """Lets a task of `waiting_plan` end, given as EPIC-TASK; "all": every task."""
        (self.stage / task).touch()

    def merged(self, branch: str) -> dict[str, str]:
        """Returns the files of the top folder that tasks wrote, as merged into a branch of the remote."""
        names = git(self.remote, "ls-tree", "--name-only", branch).split()
        return {name: git(self.remote, "show", f"{branch}:{name}") for name in names if name.endswith(".txt")}


@asynccontextmanager
async def pod_fleet(
    folder: Path, repository: Path, *, room: int | None = None, keep: float = 0, lease: float = 300
) -> AsyncIterator[PodFleet]:
    """Runs all of them; the remote is a clone of `repository`. `keep`: see HEDDLE_POD_KEEP."""
    (stage := folder / "stage").mkdir(parents=True)
    (served := folder / "served").mkdir()
    git(folder, "clone", "--quiet", "--bare", str(repository), str(served / "app.git"))
    async with AsyncExitStack() as stack:
        url = stack.enter_context(smart_http.serving(served, certificates.make(folder / "server")))
        said = f"echo username={smart_http.USER}; echo password={smart_http.PASSWORD}"
        authority = certificates.of(folder / "server", "scheduler").authority
        (folder / "gitconfig").write_text(
            f'[http]\n\tsslCAInfo = {authority}\n[credential "{url}"]\n\thelper = "!f() {{ {said}; }}; f"\n'
        )
        kubernetes = await stack.enter_async_context(cluster.serving())
        nodes = await stack.enter_async_context(running_nodes(kubernetes, folder / "nodes", room))
        git_access = {"GIT_CONFIG_GLOBAL": str(folder / "gitconfig"), "GIT_SSL_CAINFO": str(authority)}
        agents = {
            "HEDDLE_SCRIPT_SPEED": "0",
            "HEDDLE_SANDBOX": "off",
            "HEDDLE_STOP_GRACE": "0",
            "HEDDLE_LEASE": str(lease),
        }
        pods = {"HEDDLE_SLOTS": "1", "HEDDLE_AGENT_ENV": "STAGE", "STAGE": str(stage)}
        (folder / "template.yaml").write_text(yaml.safe_dump(template(pods | agents | git_access)))
        fleet = Fleet(
            folder / "home",
            {
                **agents,
                **git_access,
                **certificates.environment(scheduler_tls(folder / "nodes")),
                "KUBECONFIG": str(cluster.kubeconfig(str(kubernetes.url), folder / "kubeconfig")),
                "HEDDLE_POD_TEMPLATE": str(folder / "template.yaml"),
                "HEDDLE_POD_KEEP": str(keep),
            },
        )
        # With TLS for pods, clients would need it for a port.
        fleet.scheduler = sockets.address(fleet.home, "scheduler")
        fleet._addresses["scheduler_svc"] = fleet.scheduler
        stack.callback(fleet.stop)
        await fleet.start("worktree_svc", "agent_svc", "scheduler_svc")
        yield PodFleet(
            fleet, kubernetes, nodes, served / "app.git", f"{url}/app.git", stage, folder / "template.yaml"
        )


def waiting_plan(*epics: str, retries: int = 0) -> pb.Plan:
    """Returns a plan whose tasks `one` and `two` work until the test creates the file EPIC-TASK or all in `stage`."""
    agent = (
        'command:touch "$STAGE/at-$HEDDLE_EPIC-$HEDDLE_TASK-$HEDDLE_ATTEMPT";'
        ' until [ -e "$STAGE/$HEDDLE_EPIC-$HEDDLE_TASK" ] || [ -e "$STAGE/all" ]; do sleep 0.05; done;'
        " echo $HEDDLE_ATTEMPT > $HEDDLE_EPIC-$HEDDLE_TASK.txt"
    )
    plan = pb.Plan(name="Pods", defaults=pb.TaskDefaults(agent=agent, retries=retries))
    for key in epics:
        plan.epics.add(key=key).tasks.extend(pb.PlanTask(key=task, prompt="Go") for task in ("one", "two"))
    return plan
