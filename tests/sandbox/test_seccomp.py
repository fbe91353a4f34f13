"""The filter, run by a small interpreter of classic BPF for both machines, and checked against the kernel's headers."""

from __future__ import annotations

import errno
import json
import platform
import re
import struct
import subprocess

import pytest

from sandbox import SandboxError, seccomp

ALLOW, KILL = 0x7FFF0000, 0x80000000
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """What the filter answers to a call: ALLOW, KILL, or an errno."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("=IIQ6Q", number, ARCH[machine] if arch is None else arch, 0, *padded)
    code = list(struct.iter_unpack("=HBBI", seccomp.program(machine)))
    at = accumulator = 0
    while True:
        operation, if_true, if_false, constant = code[at]
        at += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("=I", data, constant)[0]
        elif operation == 0x06:
            return constant & 0xFFFF if constant & 0xFFFF0000 == 0x00050000 else constant
        else:
            tests = {0x15: accumulator == constant, 0x35: accumulator >= constant, 0x45: bool(accumulator & constant)}
            at += if_true if tests[operation] else if_false


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
class TestProgram:
    def test_ordinary_calls_are_allowed(self, machine: str) -> None:
        for name in ("read", "openat", "execve", "ptrace", "futex", "mmap"):
            numbers = {"read": (0, 63), "openat": (257, 56), "execve": (59, 221), "ptrace": (101, 117)}
            numbers |= {"futex": (202, 98), "mmap": (9, 222)}
            assert verdict(machine, numbers[name][machine == "aarch64"]) == ALLOW, name

    def test_every_call_of_the_list_is_denied(self, machine: str) -> None:
        for name, numbers in seccomp._DENIED.items():
            number = numbers[machine == "aarch64"]
            if number is not None:
                assert verdict(machine, number) == errno.EPERM, name

    def test_another_architecture_is_killed(self, machine: str) -> None:
        assert verdict(machine, 0, arch=0x40000003) == KILL

    def test_clone_without_and_with_namespaces(self, machine: str) -> None:
        clone = seccomp._SPECIAL["clone"][machine == "aarch64"]
        assert verdict(machine, clone, 0x003D0F00) == ALLOW  # a thread
        assert verdict(machine, clone, 17) == ALLOW  # fork
        for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
            assert verdict(machine, clone, flag | 17) == errno.EPERM
        assert verdict(machine, 435) == errno.ENOSYS

    def test_families_of_sockets(self, machine: str) -> None:
        for name in ("socket", "socketpair"):
            number = seccomp._SPECIAL[name][machine == "aarch64"]
            allowed = {family for family in range(64) if verdict(machine, number, family) == ALLOW}
            assert allowed == {1, 2, 10, 16}
            assert verdict(machine, number, 40 | 1 << 32) == errno.EAFNOSUPPORT  # the kernel sees the low half

    def test_terminal_input(self, machine: str) -> None:
        ioctl = seccomp._SPECIAL["ioctl"][machine == "aarch64"]
        assert verdict(machine, ioctl, 0, 0x5412) == errno.EPERM
        assert verdict(machine, ioctl, 0, 0x5412 | 1 << 32) == errno.EPERM
        assert verdict(machine, ioctl, 0, 0x541C) == errno.EPERM
        assert verdict(machine, ioctl, 0, 0x5401) == ALLOW


def test_the_x32_interface_does_not_exist() -> None:
    assert verdict("x86_64", 0x40000000) == errno.ENOSYS


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(SandboxError, match="riscv64"):
        seccomp.program("riscv64")


def test_the_profile_holds_the_same_calls() -> None:
    profile = json.loads(seccomp.profile())
    denied = {name for rule in profile["syscalls"] if not rule["args"] for name in rule["names"]}
    assert denied == {*seccomp._DENIED, "clone3"}
    assert {rule["errnoRet"] for rule in profile["syscalls"] if "clone3" in rule["names"]} == {errno.ENOSYS}
    families = {
        rule["args"][0]["value"]: rule["args"][0]["op"] for rule in profile["syscalls"] if "socket" in rule["names"]
    }
    assert {family for family in range(17) if family not in families} == {1, 2, 10, 16}
    assert families[17] == "SCMP_CMP_GE"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="compares with this machine's headers")
def test_the_numbers_are_the_kernels() -> None:
    try:
        headers = subprocess.run(
            ["cpp", "-dM", "-include", "asm/unistd_64.h", "/dev/null"], capture_output=True, text=True
        ).stdout
    except FileNotFoundError:
        pytest.skip("CANNOT RUN HERE: no C preprocessor")
    known = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", headers)}
    if not known:
        pytest.skip("CANNOT RUN HERE: no kernel headers")
    for name, (number, _) in {**seccomp._DENIED, **seccomp._SPECIAL}.items():
        assert known.get(name, number) == number, name
