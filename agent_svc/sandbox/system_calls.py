"""The filter of system calls in a sandbox, as a program for the kernel (seccomp-BPF).

The kernel runs it for each system call of a session. It takes away what no agent needs and what has often
led out of a sandbox: user namespaces with their mounts, keys of the kernel, BPF, modules, other kernels,
io_uring, and input for a terminal. A filter of libseccomp would need that library or a compiler.
"""

import errno
import platform
import struct
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

# The instructions of a filter (linux/bpf_common.h): load a word, compare, test bits, return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

# Offsets in struct seccomp_data. Both architectures are little-endian: the low half of an argument comes first.
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24

_ALLOW: Final = 0x7FFF0000
_FAIL: Final = 0x00050000

# Numbers from here on belong to the x32 ABI of x86_64, which would bypass the filter.
_X32: Final = 0x40000000

CLONE_NEWUSER: Final = 0x10000000
TIOCSTI, TIOCLINUX = 0x5412, 0x541C

# Unspecified, Unix, IPv4, IPv6 and netlink. Others reach the host of a virtual machine (vsock) or rarely used
# parts of the kernel.
SOCKET_FAMILIES: Final = (0, 1, 2, 10, 16)


class Machine(NamedTuple):
    """An architecture: its number in a filter, and the index of its system calls in the tables below."""

    audit: int
    column: int


MACHINES: Final[Mapping[str, Machine]] = {
    "x86_64": Machine(0xC000003E, 0),
    "aarch64": Machine(0xC00000B7, 1),
}

# The number of each system call on x86_64 and on aarch64; -1: it has none there.
NEVER: Final[Mapping[str, tuple[int, int]]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "init_module": (175, 105),
    "ioperm": (173, -1),
    "iopl": (172, -1),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "uselib": (134, -1),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
# Programs use other means if the kernel does not know these.
ABSENT: Final[Mapping[str, tuple[int, int]]] = {
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
}
# What a sandbox of an agent's own needs.
NAMESPACES: Final[Mapping[str, tuple[int, int]]] = {
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "pivot_root": (155, 41),
    "setns": (308, 268),
    "umount2": (166, 39),
}
CLONE, UNSHARE, CLONE3 = (56, 220), (272, 97), (435, 435)
IOCTL, SOCKET = (16, 29), (41, 198)


def program(*, user_namespaces: bool, machine: str = platform.machine()) -> bytes:
    """Returns the filter as an array of struct sock_filter; empty for an architecture without a table.

    A refused call fails with EPERM; calls that programs can do without fail with ENOSYS, and unusual kinds of
    sockets with EAFNOSUPPORT. System calls of other architectures, such as those of 32-bit programs, fail.
    """
    if machine not in MACHINES:
        return b""
    audit, column = MACHINES[machine]
    code = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, audit, then=1),
        _fail(errno.EPERM),
        _instruction(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        code += [_instruction(_AT_LEAST, _X32, otherwise=1), _fail(errno.ENOSYS)]
    code += _refused(NEVER, column, errno.EPERM)
    code += _refused(ABSENT, column, errno.ENOSYS)
    if not user_namespaces:
        code += _refused(NAMESPACES, column, errno.EPERM)
        # The flags of clone3 are in memory that a filter cannot read; without it, libraries use clone.
        code += _refused({"clone3": CLONE3}, column, errno.ENOSYS)
        new_user = [_instruction(_ANY_BIT, CLONE_NEWUSER, otherwise=1), _fail(errno.EPERM)]
        code += _with_argument(CLONE[column], _FIRST, new_user)
        code += _with_argument(UNSHARE[column], _FIRST, new_user)
    code += _with_argument(IOCTL[column], _SECOND, _if_equal((TIOCSTI, TIOCLINUX), errno.EPERM))
    families = [
        instruction
        for family in SOCKET_FAMILIES
        for instruction in (_equal(family), _instruction(_RETURN, _ALLOW))
    ]
    code += _with_argument(SOCKET[column], _FIRST, [*families, _fail(errno.EAFNOSUPPORT)])
    code.append(_instruction(_RETURN, _ALLOW))
    return b"".join(code)


def _instruction(operation: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """Returns a struct sock_filter; `then` and `otherwise` are how many instructions a comparison skips."""
    return struct.pack("<HBBI", operation, then, otherwise, value)


def _fail(error: int) -> bytes:
    return _instruction(_RETURN, _FAIL | error)


def _equal(value: int) -> bytes:
    """Returns the comparison that skips the next instruction unless the loaded word is `value`."""
    return _instruction(_EQUAL, value, otherwise=1)


def _if_equal(values: Iterable[int], error: int) -> list[bytes]:
    return [instruction for value in values for instruction in (_equal(value), _fail(error))]


def _refused(calls: Mapping[str, tuple[int, int]], column: int, error: int) -> list[bytes]:
    return _if_equal((numbers[column] for numbers in calls.values() if numbers[column] >= 0), error)


def _with_argument(number: int, argument: int, body: list[bytes]) -> list[bytes]:
    """Returns instructions that run `body` with the argument of the call `number`, then load the number again."""
    block = [_instruction(_LOAD, argument), *body, _instruction(_LOAD, _NUMBER)]
    return [_instruction(_EQUAL, number, otherwise=len(block)), *block]
