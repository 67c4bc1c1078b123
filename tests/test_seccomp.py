"""The filter of system calls, run step by step as Linux would, for both kinds of machine."""

import errno
import struct

import pytest

from underload.sandbox import seccomp
from underload.sandbox.seccomp import ABSENT, ALLOW, FAIL, FAMILIES, MACHINES, REFUSED, program

CLONE_NEWUSER, CLONE_NEWNS, CLONE_THREAD = 0x10000000, 0x20000, 0x10000
AF_VSOCK, AF_PACKET, AF_ALG = 40, 17, 38
# Calls by number, on x86_64 and on aarch64, that learners' code needs.
NEEDED = {"read": (0, 63), "openat": (257, 56), "mmap": (9, 222), "execve": (59, 221), "exit": (60, 93)}

machines = pytest.mark.parametrize("machine", MACHINES)


def answer(machine, call, argument=0, seen_as=None):
    """Return what the filter of a machine answers to a call with this number and first argument."""
    facts = {seccomp.MACHINE: seen_as or MACHINES[machine], seccomp.CALL: call, seccomp.ARGUMENT: argument}
    steps = list(struct.iter_unpack("=HBBI", program(machine)))
    loaded, place = 0, 0
    while True:
        what, yes, no, value = steps[place]
        place += 1
        if what == seccomp.ANSWER:
            return value
        if what == seccomp.LOAD:
            loaded = facts[value]
            continue
        tests = {
            seccomp.IF_EQUAL: loaded == value,
            seccomp.IF_AT_LEAST: loaded >= value,
            seccomp.IF_ANY_BIT: bool(loaded & value),
        }
        place += yes if tests[what] else no


def of(machine, numbers):
    return numbers[list(MACHINES).index(machine)]


@machines
@pytest.mark.parametrize("name", REFUSED)
def test_ways_to_more_rights_are_refused(machine, name):
    assert answer(machine, of(machine, REFUSED[name])) == FAIL | errno.EPERM


@machines
@pytest.mark.parametrize("name", ABSENT)
def test_what_libraries_do_without_is_said_not_to_exist(machine, name):
    assert answer(machine, of(machine, ABSENT[name])) == FAIL | errno.ENOSYS


@machines
@pytest.mark.parametrize("name", NEEDED)
def test_all_else_is_allowed(machine, name):
    assert answer(machine, of(machine, NEEDED[name]), argument=0xFFFFFFFF) == ALLOW


@machines
def test_clone_makes_threads_and_processes_but_no_namespaces(machine):
    clone = of(machine, seccomp.CLONE)
    assert answer(machine, clone, argument=CLONE_THREAD | 17) == ALLOW
    for namespace in (CLONE_NEWUSER, CLONE_NEWNS):
        assert answer(machine, clone, argument=namespace | 17) == FAIL | errno.EPERM


@machines
def test_sockets_are_of_the_families_that_a_network_namespace_holds(machine):
    socket = of(machine, seccomp.SOCKET)
    assert {answer(machine, socket, argument=family) for family in FAMILIES} == {ALLOW}
    for family in (AF_VSOCK, AF_PACKET, AF_ALG):
        assert answer(machine, socket, argument=family) == FAIL | errno.EAFNOSUPPORT


@machines
def test_calls_with_numbers_of_their_own_do_not_exist(machine):
    """Those of x32, and of 32-bit programs, whatever they would be."""
    assert answer(machine, seccomp.OTHER_CALLS + 1) == FAIL | errno.ENOSYS
    assert answer(machine, of(machine, NEEDED["read"]), seen_as=0x40000003) == FAIL | errno.ENOSYS


def test_another_machine_is_not_guessed_at():
    with pytest.raises(OSError, match="riscv64"):
        program("riscv64")
