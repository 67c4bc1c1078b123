"""The system calls that learners' code may not make, as a filter that Linux applies to each call (seccomp).

The filter is a program for a small machine in the kernel (BPF): it loads a fact of the call, tests it, jumps,
and ends with an answer. Jumps are written here as labels; `_assembled` counts how far they go.
"""

import errno
import struct
from typing import NamedTuple

# System calls by number, on x86_64 and on aarch64.
REFUSED = {  # ways to more rights, and memory that no limit counts
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "unshare": (272, 97),
    "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "mount_setattr": (442, 442), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "shmget": (29, 194), "msgget": (68, 186), "mq_open": (240, 180),
}  # fmt: skip
ABSENT = {  # said not to exist, for which libraries know another way
    "clone3": (435, 435),  # whose flags a filter cannot see
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "io_uring_setup": (425, 425),  # which makes calls past this filter
}  # fmt: skip
CLONE, SOCKET = (56, 220), (41, 198)
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # as the filter sees them
NAMESPACES = 0x7E020000  # the flags of clone that make one
FAMILIES = (1, 2, 10, 16)  # Unix, IPv4, IPv6, netlink: a network namespace does not hold AF_VSOCK
OTHER_CALLS = 0x40000000  # x32's numbers begin here

# What BPF's machine does, where the facts of a call are, and what it can answer.
LOAD, IF_EQUAL, IF_AT_LEAST, IF_ANY_BIT, ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
CALL, MACHINE, ARGUMENT = 0, 4, 16
ALLOW, FAIL = 0x7FFF0000, 0x00050000


class Step(NamedTuple):
    """One instruction. A test goes on at the label ``yes`` or ``no``; an empty one is the next step."""

    what: int
    value: int
    yes: str = ""
    no: str = ""


def program(machine: str) -> bytes:
    """Return the filter for one of `MACHINES`, as Linux takes it. Raises OSError for any other."""
    if machine not in MACHINES:
        raise OSError(f"the system calls of {machine} are not known")
    which = list(MACHINES).index(machine)
    return _assembled(
        Step(LOAD, MACHINE),
        Step(IF_EQUAL, MACHINES[machine], no="absent"),  # 32-bit calls have numbers of their own
        Step(LOAD, CALL),
        Step(IF_AT_LEAST, OTHER_CALLS, yes="absent"),
        *(Step(IF_EQUAL, numbers[which], yes="refused") for numbers in REFUSED.values()),
        *(Step(IF_EQUAL, numbers[which], yes="absent") for numbers in ABSENT.values()),
        Step(IF_EQUAL, CLONE[which], yes="clone"),
        Step(IF_EQUAL, SOCKET[which], yes="socket", no="allowed"),
        "clone",
        Step(LOAD, ARGUMENT),
        Step(IF_ANY_BIT, NAMESPACES, yes="refused", no="allowed"),
        "socket",
        Step(LOAD, ARGUMENT),
        *(Step(IF_EQUAL, family, yes="allowed") for family in FAMILIES),
        Step(ANSWER, FAIL | errno.EAFNOSUPPORT),
        "refused",
        Step(ANSWER, FAIL | errno.EPERM),
        "absent",
        Step(ANSWER, FAIL | errno.ENOSYS),
        "allowed",
        Step(ANSWER, ALLOW),
    )


def _assembled(*listing: Step | str) -> bytes:
    """Return steps as bytes. A text among them is a label, which stands for the step after it."""
    steps: list[Step] = []
    places = {}
    for each in listing:
        if isinstance(each, str):
            places[each] = len(steps)
        else:
            steps.append(each)

    def distance(label: str, place: int) -> int:
        return places[label] - place - 1 if label else 0

    return b"".join(
        struct.pack("=HBBI", step.what, distance(step.yes, place), distance(step.no, place), step.value)
        for place, step in enumerate(steps)
    )
