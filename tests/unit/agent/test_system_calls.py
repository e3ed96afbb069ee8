"""The filter of system calls, run by an interpreter of its instructions."""

import errno
import struct

import pytest

from agent_svc.sandbox import system_calls
from agent_svc.sandbox.system_calls import MACHINES

ALLOW = 0x7FFF0000


def run(program: bytes, audit: int, number: int, *arguments: int) -> int:
    """Returns what the kernel does with a call: ALLOW, or the error of a refused call."""
    words = [number, audit, 0, 0]
    for argument in (*arguments, *[0] * (6 - len(arguments))):
        words += [argument & 0xFFFFFFFF, argument >> 32]
    code = list(struct.iter_unpack("<HBBI", program))
    at, loaded = 0, 0
    while True:
        operation, then, otherwise, value = code[at]
        at += 1
        match operation:
            case 0x20:
                loaded = words[value // 4]
            case 0x15:
                at += then if loaded == value else otherwise
            case 0x35:
                at += then if loaded >= value else otherwise
            case 0x45:
                at += then if loaded & value else otherwise
            case 0x06:
                return int(value if value == ALLOW else value & 0xFFFF)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("namespaces", [False, True])
def test_each_call_of_the_tables_is_refused(machine: str, namespaces: bool) -> None:
    """On each architecture, the listed calls fail, others work, and namespaces follow the argument."""
    audit, column = MACHINES[machine]
    program = system_calls.program(user_namespaces=namespaces, machine=machine)

    def call(numbers: tuple[int, int], *arguments: int) -> int:
        return run(program, audit, numbers[column], *arguments)

    refused = {name: call(numbers) for name, numbers in system_calls.NEVER.items() if numbers[column] >= 0}
    assert set(refused.values()) == {errno.EPERM}
    assert {call(numbers) for numbers in system_calls.ABSENT.values()} == {errno.ENOSYS}
    expected = ALLOW if namespaces else errno.EPERM
    assert {call(numbers) for numbers in system_calls.NAMESPACES.values()} == {expected}
    new_user = system_calls.CLONE_NEWUSER
    assert call(system_calls.UNSHARE, new_user | 0x20000) == call(system_calls.CLONE, new_user) == expected
    assert call(system_calls.CLONE3) == (ALLOW if namespaces else errno.ENOSYS)
    # SIGCHLD, and the flags of a thread.
    assert (
        call(system_calls.CLONE, 17)
        == call(system_calls.CLONE, 0x3D0F00)
        == call(system_calls.UNSHARE, 0x200)
        == ALLOW
    )
    assert call(system_calls.IOCTL, 0, system_calls.TIOCSTI) == errno.EPERM
    # The kernel ignores the upper half of a request.
    assert call(system_calls.IOCTL, 0, 1 << 32 | system_calls.TIOCSTI) == errno.EPERM
    assert call(system_calls.IOCTL, 0, 0x5413) == ALLOW
    assert call(system_calls.SOCKET, 40) == call(system_calls.SOCKET, 38) == errno.EAFNOSUPPORT
    assert {call(system_calls.SOCKET, family) for family in (1, 2, 10, 16)} == {ALLOW}
    assert run(program, audit, 0) == run(program, audit, 400) == ALLOW


def test_other_architectures_cannot_bypass_the_filter() -> None:
    """Calls of 32-bit programs and of the x32 ABI fail, whatever their number."""
    program = system_calls.program(user_namespaces=True, machine="x86_64")
    assert run(program, 0x40000003, 1) == errno.EPERM
    assert run(program, MACHINES["x86_64"].audit, 0x40000000 + 1) == errno.ENOSYS


def test_an_unknown_architecture_has_no_filter() -> None:
    """Without a table of numbers, no filter is better than a wrong one."""
    assert system_calls.program(user_namespaces=False, machine="riscv64") == b""
