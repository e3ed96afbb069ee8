"""What a session in the sandbox cannot see, reach or do, beyond the write boundary.

Each attack also runs without the protection, where it must succeed; otherwise it would prove nothing.
"""

import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import psutil
import pytest

from agent_svc.sandbox import bubblewrap
from agent_svc.sandbox.hidden import IN_HOME
from agent_svc.sandbox.network import Internet, NoNetworkError
from heddle import pb
from tests.support.agents import agents, ending, living, output
from tests.support.programs import need_sandbox

# A number for each attempt.
NUMBERS = itertools.count(1)

LISTED = [name for names in IN_HOME.values() for name in names]

# Prints the name of each address that accepts a connection: NAME=HOST:PORT, NAME=@ABSTRACT or NAME=/PATH.
CONNECT = """
import socket, sys
for name, _, address in (each.partition("=") for each in sys.argv[1:]):
    unix = address[0] in "/@"
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as probe:
        probe.settimeout(3)
        host, _, port = address.rpartition(":")
        try:
            probe.connect(address.replace("@", chr(0)) if unix else (host, int(port)))
            print(name)
        except OSError as error:
            print(name, error, file=sys.stderr)
"""

# Prints the error of each system call.
CALLS = """
import ctypes, errno, platform, sys
from agent_svc.sandbox import system_calls as s
libc = ctypes.CDLL(None, use_errno=True)
column = s.MACHINES[platform.machine()].column
def call(name, *arguments):
    result = libc.syscall(*map(ctypes.c_long, arguments))
    print(name, "works" if result >= 0 else errno.errorcode[ctypes.get_errno()])
for name, numbers in {**s.NEVER, **s.ABSENT, **s.NAMESPACES}.items():
    # Invalid arguments: nothing happens where the call is allowed.
    if numbers[column] >= 0 and name not in {"vhangup", "sethostname", "setdomainname"}:
        call(name, numbers[column], -1, -1, -1, -1, -1)
call("clone3", s.CLONE3[column], 0, 0)
call("terminal", s.IOCTL[column], 0, s.TIOCSTI, 0)
call("vsock", s.SOCKET[column], 40, 1, 0)
call("unix", s.SOCKET[column], 1, 1, 0)
call("namespace", s.UNSHARE[column], s.CLONE_NEWUSER)
"""


@pytest.fixture(name="folder")
def _folder() -> Iterator[Path]:
    """A folder that is visible in a sandbox, unlike folders below /tmp."""
    path = Path(tempfile.mkdtemp(prefix="heddle-test-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path)


async def run(folder: Path, command: list[str], **environ: str) -> list[pb.Event]:
    """Runs a command as an agent whose home is `folder`/user."""
    (folder / "user").mkdir(exist_ok=True)
    shell = " ".join(f"'{word}'" if "\n" not in word else '"$SCRIPT"' for word in command)
    environment = {"HOME": str(folder / "user"), "PYTHONPATH": str(Path(__file__).parents[3])}
    environment["SCRIPT"] = "".join(word for word in command if "\n" in word)
    async with agents(folder, **environ) as worker:
        return await worker.run(f"command:{shell}", number=next(NUMBERS), environment=environment)


async def words(folder: Path, command: list[str], **environ: str) -> set[str]:
    """Runs a command like `run` and returns the lines that it prints."""
    return set(output(await run(folder, command, **environ)).splitlines())


def secrets(home: Path) -> None:
    for name in LISTED:
        path = home / name
        if "." in path.name[1:] or name.startswith(".config/git"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("canary-81af\n")
        elif not path.is_dir():
            path.mkdir(parents=True)
            (path / "secret").write_text("canary-81af\n")


LOOK = ["grep", "--recursive", "--files-with-matches", "canary-81af"]


async def test_secrets_of_the_user_are_hidden(folder: Path) -> None:
    """In a sandbox, no listed path of the home shows its content; the rest of the home can be read."""
    need_sandbox()
    home = folder / "user"
    secrets(home)
    (home / "notes").write_text("canary-81af\n")
    found = await words(folder, [*LOOK, str(home)], HEDDLE_SANDBOX="off")
    assert len(found) >= len(LISTED)
    assert await words(folder, [*LOOK, str(home)], HEDDLE_SANDBOX="required") == {str(home / "notes")}


async def test_the_operator_hides_and_shows_paths(folder: Path) -> None:
    """HEDDLE_SANDBOX_HIDDEN adds paths, even in a writable folder; HEDDLE_SANDBOX_VISIBLE shows listed ones."""
    need_sandbox()
    home = folder / "user"
    secrets(home)
    (home / ".ssh" / "known_hosts").write_text("canary-81af\n")
    (home / "tax").mkdir()
    (home / "tax" / "secret").write_text("canary-81af\n")
    found = await words(
        folder,
        [*LOOK, str(home)],
        HEDDLE_SANDBOX="required",
        HEDDLE_SANDBOX_WRITABLE=str(home),
        HEDDLE_SANDBOX_HIDDEN=str(home / "tax"),
        HEDDLE_SANDBOX_VISIBLE=f"{home / '.ssh' / 'known_hosts'},{home / '.aws'}",
    )
    assert found == {str(home / ".ssh" / "known_hosts"), str(home / ".aws" / "secret")}


async def test_the_data_folder_is_never_shown(folder: Path) -> None:
    """Sockets and tokens of the services are hidden, even if the operator shows a folder around them."""
    need_sandbox()
    home = folder / "home"
    (home / "run").mkdir(parents=True)
    (home / "token").write_text("canary-81af\n")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(home / "run" / "agent.sock"))
        server.listen()
        arguments = [sys.executable, "-c", CONNECT, f"service={home / 'run' / 'agent.sock'}"]
        assert await words(folder, arguments, HEDDLE_SANDBOX="off") == {"service"}
        shown = {"HEDDLE_SANDBOX": "required", "HEDDLE_SANDBOX_WRITABLE": str(folder)}
        assert await words(folder, arguments, **shown) == set()
        assert await words(folder, [*LOOK, str(folder)], **shown) == set()


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """Yields the addresses of a server on loopback, of an abstract socket and of a socket in a home."""
    path = folder / "user" / ".agent" / "s.sock"
    path.parent.mkdir(parents=True)
    with ExitStack() as stack:
        loopback = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for address in (f"\0heddle-test-{os.getpid()}", str(path)):
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(address)
            server.listen()
        port = loopback.getsockname()[1]
        yield {
            "loopback": f"127.0.0.1:{port}",
            "abstract": f"@heddle-test-{os.getpid()}",
            "home": str(path),
        }


def connecting(addresses: Mapping[str, str]) -> list[str]:
    return [sys.executable, "-c", CONNECT, *(f"{name}={address}" for name, address in addresses.items())]


def has_scopes() -> bool:
    """Returns whether the kernel can close abstract sockets: Landlock's ABI 6."""
    script = "import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return int(done.stdout) >= 6


async def test_sockets_of_the_user_are_closed(folder: Path) -> None:
    """A session cannot connect to sockets in the home or to abstract ones; its own and loopback stay open."""
    need_sandbox()
    if not has_scopes():
        pytest.skip("this Linux is older than 6.12: only a network namespace closes abstract sockets")
    with servers(folder) as addresses:
        command = connecting(addresses)
        assert await words(folder, command, HEDDLE_SANDBOX="off") == {"loopback", "abstract", "home"}
        assert await words(folder, command, HEDDLE_SANDBOX="required") == {"loopback"}
    own = """
import os, socket
for address in ("s.sock", os.environ["TMPDIR"] + "/s.sock", chr(0) + "heddle-own"):
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(address)
        server.listen()
        client.connect(address)
        print("connected", len(address) > 0)
"""
    events = await run(folder, [sys.executable, "-c", own], HEDDLE_SANDBOX="required")
    assert output(events).count("connected") == 3


async def test_no_network_reaches_nothing(folder: Path) -> None:
    """With HEDDLE_SANDBOX_NETWORK=none, a session has only a loopback of its own, which works."""
    need_sandbox()
    environ = {"HEDDLE_SANDBOX": "required", "HEDDLE_SANDBOX_NETWORK": "none"}
    with servers(folder) as addresses:
        assert await words(folder, connecting(addresses), **environ) == set()
    own = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
    print("connected")
print(len(socket.if_nameindex()))
"""
    assert await words(folder, [sys.executable, "-c", own], **environ) == {"connected", "1"}


@contextmanager
def other_machine(port: int) -> Iterator[tuple[str, str]]:
    """Yields the address of a server on another machine, as a network namespace, and this machine's on that network.

    No other program may use `port` here meanwhile: the network is named after it.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can make another machine")
    serve = "import socket,sys\nwith socket.create_server(('0.0.0.0', int(sys.argv[1]))): print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", serve, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as machine:
        assert machine.stdout is not None
        machine.stdout.readline()
        name = f"heddle-{port}"
        # A network of four addresses for each port that systems choose.
        ours = IPv4Address("198.18.0.0") + 4 * (port % 32768) + 1
        try:
            for words in (
                f"ip link add {name} type veth peer name eth0 netns {machine.pid}",
                f"ip address add {ours}/30 dev {name}",
                f"ip link set {name} up",
                f"nsenter --net --target {machine.pid} ip address add {ours + 1}/30 dev eth0",
                f"nsenter --net --target {machine.pid} ip link set eth0 up",
            ):
                done = subprocess.run(words.split(), capture_output=True, text=True, check=False)
                if done.returncode:
                    pytest.skip(f"this machine cannot make another one: {done.stderr}")
            yield str(ours + 1), str(ours)
        finally:
            subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)
            machine.communicate()


def need_internet() -> None:
    """Skips the test if no namespace with a network can be made."""
    network = Internet()
    try:
        network.prefix()
    except NoNetworkError as error:
        pytest.skip(f"{error}: {error.advice}")
    finally:
        network.close()


async def test_internet_reaches_other_machines_only(folder: Path) -> None:
    """With HEDDLE_SANDBOX_NETWORK=internet, a session reaches another machine, but no address of this one."""
    need_sandbox()
    need_internet()
    with servers(folder) as addresses, socket.create_server(("0.0.0.0", 0)) as everywhere:  # noqa: S104 (its other address is what the test attacks)
        port = everywhere.getsockname()[1]
        with other_machine(port) as (theirs, ours):
            command = connecting(addresses | {"other": f"{theirs}:{port}", "own": f"{ours}:{port}"})
            reached = await words(folder, command, HEDDLE_SANDBOX="off")
            assert reached == {"loopback", "abstract", "home", "other", "own"}
            environ = {"HEDDLE_SANDBOX": "required", "HEDDLE_SANDBOX_NETWORK": "internet"}
            assert await words(folder, command, **environ) == {"other"}
    assert not [each for each in psutil.Process().children(recursive=True) if each.name() == "pasta"]


async def test_a_resolver_of_this_machine_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `internet`, a session asks pasta for names where the machine's own resolver is on its loopback."""
    need_sandbox()
    need_internet()
    monkeypatch.setattr(bubblewrap, "resolver_needed", lambda _: True)
    environ = {"HEDDLE_SANDBOX": "required", "HEDDLE_SANDBOX_NETWORK": "internet"}
    assert "nameserver 169.254.1.1" in await words(folder, ["cat", "/etc/resolv.conf"], **environ)


async def test_addresses_that_come_later_are_refused(folder: Path) -> None:
    """An address that this machine gets while the service runs cannot be reached by the next session."""
    need_sandbox()
    need_internet()
    environ = {"HEDDLE_SANDBOX": "required", "HEDDLE_SANDBOX_NETWORK": "internet"}
    (folder / "user").mkdir()
    async with agents(folder, **environ) as worker:
        assert ending(await worker.run("command:true"))[0] == "SUCCEEDED"
        with socket.create_server(("0.0.0.0", 0)) as everywhere:  # noqa: S104 (its other address is what the test attacks)
            port = everywhere.getsockname()[1]
            with other_machine(port) as (theirs, ours):
                script = CONNECT.replace("'", '"')
                command = f'command:{sys.executable} -c "$SCRIPT" other={theirs}:{port} own={ours}:{port}'
                events = await worker.run(command, number=2, environment={"SCRIPT": script})
    assert output(events) == "other\n"


async def test_system_calls_that_agents_do_not_need_fail(folder: Path) -> None:
    """The filter refuses keys, BPF, mounts, user namespaces and others; usual calls work."""
    need_sandbox()
    errors = dict(
        line.split() for line in await words(folder, [sys.executable, "-c", CALLS], HEDDLE_SANDBOX="required")
    )
    allowed = {name: errors.pop(name) for name in ("unix",)}
    assert allowed == {"unix": "works"}
    assert errors.pop("vsock") == "EAFNOSUPPORT"
    absent = {"clone3", "io_uring_enter", "io_uring_register", "io_uring_setup"}
    assert {errors.pop(name) for name in absent} == {"ENOSYS"}
    assert set(errors.values()) == {"EPERM"}
    assert errors.keys() >= {
        "bpf",
        "keyctl",
        "mount",
        "namespace",
        "perf_event_open",
        "terminal",
        "userfaultfd",
    }
    # Without the filter, other errors show that the calls reach the kernel.
    before = dict(
        line.split() for line in await words(folder, [sys.executable, "-c", CALLS], HEDDLE_SANDBOX="off")
    )
    assert before["namespace"] == "works"
    assert before["keyctl"] != "EPERM"
    assert before["clone3"] == "EINVAL"


async def test_agents_with_their_own_sandbox_can_make_namespaces(folder: Path) -> None:
    """HEDDLE_SANDBOX_USER_NAMESPACES allows user namespaces to all sessions, and nothing else of the filter."""
    need_sandbox()
    environ = {"HEDDLE_SANDBOX": "required", "HEDDLE_SANDBOX_USER_NAMESPACES": "true"}
    errors = dict(line.split() for line in await words(folder, [sys.executable, "-c", CALLS], **environ))
    assert errors["namespace"] == "works"
    assert errors["clone3"] == "EINVAL"
    assert errors["keyctl"] == errors["bpf"] == errors["terminal"] == "EPERM"


@pytest.mark.parametrize("sandbox", ["off", "required"])
async def test_a_session_with_too_many_processes_is_ended(folder: Path, sandbox: str) -> None:
    """Above HEDDLE_AGENT_PROCESSES, the whole process tree is killed, and the reason says so."""
    if sandbox == "required":
        need_sandbox()
    mark = f"heddle-many-{os.getpid()}"
    many = f"""
import subprocess, sys, time
for _ in range(60):
    subprocess.Popen([sys.executable, "-c", "import sys, time; time.sleep(600)", "{mark}"], start_new_session=True)
time.sleep(600)
"""
    events = await run(
        folder, [sys.executable, "-c", many], HEDDLE_SANDBOX=sandbox, HEDDLE_AGENT_PROCESSES="20"
    )
    outcome, reason = ending(events)
    assert outcome == "FAILED"
    assert "more than HEDDLE_AGENT_PROCESSES allows" in reason
    assert living(mark) == []


async def test_the_kernel_limits_processes_in_a_sandbox(folder: Path) -> None:
    """In a sandbox, the limit of the kernel for processes and threads is a multiple of HEDDLE_AGENT_PROCESSES."""
    need_sandbox()
    limit = ["/bin/bash", "-c", "ulimit -u"]
    environ = {"HEDDLE_SANDBOX": "required", "HEDDLE_AGENT_PROCESSES": "20"}
    assert await words(folder, limit, **environ) == {"160"}
