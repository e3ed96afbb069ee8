"""Leases of slots and ports: epics never share one, and none is lost."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from heddle import pb
from heddle.errors import HeddleError
from heddle.names import EpicName
from worktree_svc.storage import ports
from worktree_svc.storage.leases import Leases
from worktree_svc.storage.ports import PortRange
from worktree_svc.storage.worktree_store import Lease, WorktreeState, WorktreeStore

WITHIN = PortRange(20000, 29999)


def epic(key: str) -> EpicName:
    return EpicName("r1", key)


@pytest.fixture
def all_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda _port: True)


def test_a_block_follows_what_is_in_use() -> None:
    """A block contains no port on which a server listens, at any address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        assert not ports.is_free(port)
        block = ports.find_block(1, PortRange(port, port + 200), set(), port)
    assert block is not None
    assert port not in block


@pytest.mark.usefixtures("all_free")
def test_ephemeral_ports_come_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ports that the kernel uses for outgoing connections are leased only if no others are left."""
    said = tmp_path / "range"
    said.write_text("100\t200\n")
    monkeypatch.setattr(ports, "EPHEMERAL", said)
    within = PortRange(98, 203)
    assert ports.find_block(2, within, set(), 150) == range(98, 100)
    assert ports.find_block(3, within, set(), 150) == range(201, 204)
    assert ports.find_block(4, within, set(), 150) == range(98, 102)
    assert ports.find_block(3, within, {98, 202}, 150) == range(99, 102)
    assert ports.find_block(107, within, set(), 150) is None


@pytest.mark.usefixtures("all_free")
def test_epics_share_nothing_until_it_is_given_back() -> None:
    """Each epic keeps its own slot and ports; the lowest free slot is leased next."""
    leases = Leases(WITHIN, begin=29999 - 20000 - 1)
    first, second = leases.take(epic("a"), 3), leases.take(epic("b"), 3)
    assert first == leases.take(epic("a"), 3) == Lease(1, (20000, 20001, 20002))
    assert second == Lease(2, (20003, 20004, 20005))
    leases.release(epic("a"))
    assert leases.take(epic("c"), 0) == Lease(1, ())


@pytest.mark.usefixtures("all_free")
def test_an_epic_keeps_its_slot_when_it_needs_other_ports() -> None:
    """A project file that asks for more ports, or none, changes an epic's ports only; its old ones are free again."""
    leases = Leases(WITHIN, begin=0)
    leases.take(epic("a"), 1)
    assert leases.take(epic("b"), 2) == Lease(2, (20001, 20002))
    leases.release(epic("a"))
    assert leases.take(epic("b"), 3) == Lease(2, (20000, 20001, 20002))
    assert leases.take(epic("b"), 3) == Lease(2, (20000, 20001, 20002))
    assert leases.take(epic("b"), 0) == Lease(2, ())
    assert leases.take(epic("c"), 1) == Lease(1, (20000,))


@pytest.mark.usefixtures("all_free")
def test_too_few_ports() -> None:
    """If no block is left, the error says what to do, and nothing is leased."""
    leases = Leases(PortRange(20000, 20003), begin=0)
    leases.take(epic("a"), 3)
    with pytest.raises(HeddleError, match="HEDDLE_PORT_RANGE") as raised:
        leases.take(epic("b"), 2)
    assert raised.value.reason == pb.ERROR_REASON_NO_PORTS
    assert leases.take(epic("c"), 1) == Lease(2, (20003,))


@pytest.mark.usefixtures("all_free")
def test_a_start_resolves_overlapping_leases(tmp_path: Path) -> None:
    """If two worktree states name the same port, one keeps its lease and the other gets a new one."""
    store = WorktreeStore(tmp_path)
    lease = Lease(1, (20000, 20001))
    for key, theirs in (("a", lease), ("b", Lease(2, (20001, 20002))), ("c", Lease(3, (20003,)))):
        state = WorktreeState(epic(key), Path("/project"), start="a" * 40, head="a" * 40, lease=theirs)
        store.save(store.paths(epic(key)), state)
    leases = Leases(WITHIN, begin=0)
    leases.recover(store)
    assert {state.epic.epic: state.lease for _, state in store.all()} == {
        "a": lease,
        "b": None,
        "c": Lease(3, (20003,)),
    }
    assert leases.take(epic("b"), 2) == Lease(2, (20004, 20005))


def test_a_state_without_a_lease_is_read(tmp_path: Path) -> None:
    """A saved state is read unchanged, even without a lease."""
    store = WorktreeStore(tmp_path)
    for lease in (None, Lease(7, ()), Lease(2, (20000,))):
        state = WorktreeState(epic("a"), Path("/project"), start="a" * 40, head="a" * 40)
        saved = replace(state, lease=lease, incarnation="abc")
        store.save(store.paths(epic("a")), saved)
        assert store.load(store.paths(epic("a"))) == saved
