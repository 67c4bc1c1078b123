"""The machine is shared by many jobs, or used by one alone."""

import os
import threading
from contextlib import contextmanager

import pytest

from underload.jobs.machine import Machine

SECONDS = 10


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "machine.lock")


class Other:
    """Another job, in a thread: it enters, says so, and stays until it is told to leave."""

    def __init__(self, entered):
        self.inside, self.waits, self.go = threading.Event(), threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.stay, args=(entered,), daemon=True)
        self.thread.start()

    def stay(self, entered):
        with entered(self.waiting):
            self.inside.set()
            self.go.wait(SECONDS)

    @contextmanager
    def waiting(self):
        self.waits.set()
        yield

    def leave(self):
        self.go.set()
        self.thread.join(SECONDS)


@pytest.fixture
def other(tmp_path):
    others = []

    def enter(how):
        others.append(
            Other(lambda waiting: getattr(Machine(tmp_path / "machine.lock", waiting=waiting), how)())
        )
        return others[-1]

    yield enter
    for each in others:
        each.leave()


def test_many_share_it_and_wait_for_nobody(other):
    many = [other("shared") for _ in range(5)]
    assert all(each.inside.wait(SECONDS) for each in many)
    assert not any(each.waits.is_set() for each in many)


def test_who_wants_it_alone_waits_for_all_inside_and_keeps_newcomers_out(other):
    first = other("shared")
    assert first.inside.wait(SECONDS)
    measuring = other("alone")
    assert measuring.waits.wait(SECONDS)
    newcomer = other("shared")
    assert newcomer.waits.wait(SECONDS)
    assert not measuring.inside.is_set() and not newcomer.inside.is_set()
    first.leave()
    assert measuring.inside.wait(SECONDS) and not newcomer.inside.is_set()
    measuring.leave()
    assert newcomer.inside.wait(SECONDS)


def test_only_one_has_it_alone(other):
    first = other("alone")
    assert first.inside.wait(SECONDS)
    second = other("alone")
    assert second.waits.wait(SECONDS) and not second.inside.is_set()
    first.leave()
    assert second.inside.wait(SECONDS)


def test_a_fork_can_give_back_what_its_parent_has_taken(machine, other):
    with machine.shared() as turn:
        waiting = other("alone")
        assert waiting.waits.wait(SECONDS)
        child = os.fork()
        if not child:
            turn.release()
            os._exit(0)
        os.waitpid(child, 0)
        assert waiting.inside.wait(SECONDS)


def test_who_dies_inside_is_not_waited_for(machine, other):
    child = os.fork()
    if not child:
        with machine.alone():
            os._exit(1)
    os.waitpid(child, 0)
    assert other("alone").inside.wait(SECONDS)
