"""The system-call filter of every box: a BPF program for bubblewrap, the same as a profile for Docker.

Docker's own profile is not enough: engines before 23 let AF_VSOCK through, all before 2026 the 32-bit `socketcall`.

A second wall behind the namespaces: it takes away the sockets that ignore network namespaces (AF_VSOCK reaches the
machine's hypervisor, AF_ALG the kernel's ciphers), new namespaces and mounts, typing into the terminal, and the kernel
interfaces with the longest record of faults. Threads, `fork`, `ptrace` of own processes and files are untouched.

Sources: Linux `include/uapi/linux/{seccomp,filter,audit}.h`, `arch/x86/entry/syscalls/syscall_64.tbl`,
`include/uapi/asm-generic/unistd.h`.
"""

from __future__ import annotations

import errno
import json
import socket
import struct
from collections.abc import Iterator

from sandbox.base import SandboxError

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCH, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24  # offsets in struct seccomp_data; low words of the arguments

_ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000

_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX

# name: (number on x86_64, number on aarch64); None where the machine has no such call
_SPECIAL: dict[str, tuple[int, int]] = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "ioctl": (16, 29),
    "socket": (41, 198),
    "socketpair": (53, 199),
}
_DENIED: dict[str, tuple[int, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}


def program(machine: str) -> bytes:
    """The filter for a machine as `uname -m` names it, ready for `bwrap --seccomp`.

    Another architecture's calls kill the process (on x86_64 that is the 32-bit interface), the x32 interface and
    `clone3` do not exist (the C library then uses `clone`, whose flags a filter can see), the rest fails with EPERM.

    Raises: `SandboxError` for a machine this house has no table for.
    """
    if machine not in _ARCHES:
        raise SandboxError(f"no system-call filter for {machine}; bubblewrap boxes need x86_64 or aarch64, use docker")
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in _instructions(machine))


def profile() -> str:
    """The same filter as a Docker seccomp profile (JSON), for the engine's own architecture alone."""
    rules: list[dict[str, object]] = [
        _rule(list(_DENIED), errno.EPERM),
        _rule(["clone3"], errno.ENOSYS),
    ]
    bits = [1 << bit for bit in range(32) if _NEW_NAMESPACES >> bit & 1]
    rules += [_rule(["clone"], errno.EPERM, _argument(0, bit, "SCMP_CMP_MASKED_EQ", bit)) for bit in bits]
    for request in _TERMINAL_INPUT:
        rules.append(_rule(["ioctl"], errno.EPERM, _argument(1, 0xFFFFFFFF, "SCMP_CMP_MASKED_EQ", request)))
    # A rule can compare an argument only once, so families are denied one by one, and everything beyond them together:
    # that also meets values whose low half alone the kernel would look at.
    sockets, beyond = ["socket", "socketpair"], max(_FAMILIES) + 1
    denied = [family for family in range(beyond) if family not in _FAMILIES]
    rules += [_rule(sockets, errno.EAFNOSUPPORT, _argument(0, family, "SCMP_CMP_EQ")) for family in denied]
    rules.append(_rule(sockets, errno.EAFNOSUPPORT, _argument(0, beyond, "SCMP_CMP_GE")))
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules})


def _rule(names: list[str], code: int, argument: dict[str, object] | None = None) -> dict[str, object]:
    arguments = [argument] if argument else []
    return {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": code, "args": arguments}


def _argument(index: int, value: int, test: str, second: int = 0) -> dict[str, object]:
    return {"index": index, "value": value, "valueTwo": second, "op": test}


Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


def _instructions(machine: str) -> Iterator[Instruction]:
    column = 0 if machine == "x86_64" else 1
    number = {name: numbers[column] for name, numbers in _SPECIAL.items()}
    denied = [numbers[column] for numbers in _DENIED.values()]

    yield _LOAD, 0, 0, _ARCH
    yield _EQUAL, 1, 0, _ARCHES[machine]
    yield _answer(_KILL)
    yield _LOAD, 0, 0, _NUMBER
    if machine == "x86_64":
        yield _AT_LEAST, 0, 1, _X32_BIT
        yield _fail(errno.ENOSYS)
    yield from _on(_EQUAL, number["clone3"], [_fail(errno.ENOSYS)])
    for call in denied:
        if call is not None:
            yield from _on(_EQUAL, call, [_fail(errno.EPERM)])
    yield from _on(_EQUAL, number["clone"], _unless(_ARGUMENT_0, [(_ANY_BIT, _NEW_NAMESPACES)], errno.EPERM))
    yield from _on(_EQUAL, number["ioctl"], _unless(_ARGUMENT_1, [(_EQUAL, c) for c in _TERMINAL_INPUT], errno.EPERM))
    for call in (number["socket"], number["socketpair"]):
        yield from _on(_EQUAL, call, _families())
    yield _answer(_ALLOW)


def _answer(value: int) -> Instruction:
    return _RETURN, 0, 0, value


def _fail(code: int) -> Instruction:
    return _answer(_ERRNO | code)


def _on(test: int, constant: int, then: list[Instruction]) -> Iterator[Instruction]:
    """`then` (which always answers) if the test holds, else go on behind it."""
    yield test, 0, len(then), constant
    yield from then


def _unless(argument: int, tests: list[tuple[int, int]], code: int) -> list[Instruction]:
    """Fail with `code` if any test on the argument holds, else allow."""
    body: list[Instruction] = [(_LOAD, 0, 0, argument)]
    for test, constant in tests:
        body += _on(test, constant, [_fail(code)])
    return [*body, _answer(_ALLOW)]


def _families() -> list[Instruction]:
    body: list[Instruction] = [(_LOAD, 0, 0, _ARGUMENT_0)]
    for family in _FAMILIES:
        body += _on(_EQUAL, family, [_answer(_ALLOW)])
    return [*body, _fail(errno.EAFNOSUPPORT)]
