"""Notebooks that mean harm: each ends, is told what it was, leaves nothing behind, and the next one works."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from conftest import all_gone
from kernels import until
from sandboxed import Worker, ordinary, worker

from underload import sandbox
from underload.processor import of_threads

pytestmark = pytest.mark.skipif(bool(sandbox.unavailable()), reason=sandbox.unavailable())


@pytest.fixture(scope="module")
def grader():
    with worker() as started:
        yield started


@pytest.fixture(autouse=True)
def next_one_works(grader):
    yield
    outcome = grader.run("answer = 42", "assert answer == 42")
    assert (outcome["ended"], outcome["errors"]) == ("finished", [])


def test_an_error_in_a_cell_is_told_and_does_not_keep_the_next_ones_from_running(grader):
    outcome = grader.run(
        "import os; 1/0", "seen = 'JPY_PARENT_PID' not in os.environ", "assert not seen, 'so it ran'"
    )
    assert outcome["ended"] == "finished" and outcome["reason"] == ""
    assert outcome["errors"] == [
        {"cell": 1, "error": "ZeroDivisionError: division by zero", "line": "import os; 1/0"},
        {"cell": 3, "error": "AssertionError: so it ran", "line": "assert not seen, 'so it ran'"},
    ]


def test_the_line_of_an_error_is_the_innermost_of_the_notebook(grader):
    service = "def inner():\n    return int('x')\n"
    outcome = grader.run(
        service, "import json\njson.loads(inner())", "def f(:\n  pass", "raise KeyboardInterrupt"
    )
    assert [each["line"] for each in outcome["errors"]] == [
        *("return int('x')", "def f(:", "raise KeyboardInterrupt")
    ]


def test_an_error_is_one_line_of_bounded_length_and_the_first_ones_are_enough(grader):
    long = "raise ValueError('two\\nlines \\x1b[31m' + 'x' * 10**6)"
    outcome = grader.run(*[long] * 21, "print('no error, though nothing like it is expected')")
    assert [each["cell"] for each in outcome["errors"]] == list(range(1, 21))
    for each in outcome["errors"]:
        assert each["error"].startswith("ValueError: two lines [31mxxx")
        assert len(each["error"]) == 300


def test_a_claim_that_does_not_hold_is_no_error_since_the_kernel_does_not_know_of_pytest(grader):
    outcome = grader.run("from underload import claim; claim('one is two', False)", "1/0")
    assert outcome["errors"] == [{"cell": 2, "error": "ZeroDivisionError: division by zero", "line": "1/0"}]


def test_a_notebook_without_code_is_finished(grader):
    assert grader.run()["ended"] == "finished"


def test_an_endless_loop_is_interrupted_and_the_cells_after_it_run(grader):
    outcome = grader.run("while True: pass", "1/0", cell_seconds=1)
    assert (outcome["ended"], outcome["reason"]) == ("timeout", "Code cell 1 took longer than 1 s.")
    assert outcome["errors"] == [{"cell": 2, "error": "ZeroDivisionError: division by zero", "line": "1/0"}]


def test_an_endless_loop_that_swallows_the_interrupt(grader):
    swallow = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
while True:
    try:
        while True: pass
    except BaseException: pass
"""
    outcome = grader.run(swallow, "1", cell_seconds=1, answer_seconds=1)
    assert (outcome["ended"], outcome["reason"]) == ("timeout", "Code cell 1 took longer than 1 s.")


def test_endless_output_that_swallows_the_interrupt(grader):
    swallow = "while True:\n  try:\n    while True: print('more')\n  except BaseException: pass"
    outcome = grader.run(swallow, cell_seconds=1, answer_seconds=0.5)
    # Now and then the interrupt comes between two lines of the loop, where nothing swallows it.
    reasons = {f"Code cell 1 {end} 1 s." for end in ("could not be stopped after", "took longer than")}
    assert outcome["ended"] == "timeout"
    assert outcome["reason"] in reasons


def test_many_cells_that_each_take_their_time(grader):
    outcome = grader.run(*["import time; time.sleep(0.9)"] * 9, wall_seconds=1, cell_seconds=50)
    assert (outcome["ended"], outcome["reason"]) == ("timeout", "The notebook took longer than 1 s.")


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("import os; os._exit(7)", "status 7"),
        ("import os; os.kill(os.getpid(), 9)", "killed"),
        ("import ctypes; ctypes.string_at(0)", "status 139"),
    ],
)
def test_the_end_of_the_kernel_is_noticed_at_once(grader, code, end):
    outcome = grader.run("1", code, "2", cell_seconds=50)
    assert (outcome["ended"], outcome["reason"]) == (
        "crashed",
        f"The kernel ended during code cell 2 ({end}).",
    )


def test_killing_its_parent_or_everybody_reaches_nobody_outside(grader):
    kill = """
import os, signal
for target in (os.getppid(), 1, -1):
    if target != -1 or os.fork() == 0:
        try: os.kill(target, signal.SIGKILL)
        except PermissionError: pass
"""
    assert grader.run(kill, "1")["ended"] in ("finished", "crashed")


def test_too_much_processor_time_ends_the_kernel(grader):
    outcome = grader.run("while True: pass", cpu_seconds=1)
    assert outcome["reason"] == "The kernel ended during code cell 1 (more than 1 s of processor time)."


def test_a_memory_bomb_in_one_process_is_an_error_in_its_cell(grader):
    outcome = grader.run("held = []\nwhile True: held.append(bytearray(10**7))", "del held", data=800_000_000)
    assert outcome["ended"] == "finished"
    assert [(each["cell"], each["error"]) for each in outcome["errors"]] == [(1, "MemoryError")]


def test_a_memory_bomb_in_many_processes_ends_the_notebook(grader):
    bomb = """
import os, time
for _ in range(5):
    if os.fork() == 0:
        held = bytearray(os.urandom(1000)) * 200_000
        time.sleep(60)
time.sleep(60)
"""
    outcome = grader.run(bomb, memory=600_000_000)
    assert (outcome["ended"], outcome["reason"]) == (
        "crashed",
        "The notebook used more than 0.6 GB of memory.",
    )


def test_nothing_is_told_of_the_threads_of_a_process_that_has_ended():
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    assert of_threads(ended.pid, "stat") == []
    assert len(of_threads(os.getpid(), "stat")) == len(list(Path("/proc/self/task").iterdir()))


def test_memory_that_processes_share_counts_once(grader):
    share = """
import os, time
held = bytearray(os.urandom(1000)) * 200_000
children = [os.fork() or time.sleep(1) or os._exit(0) for _ in range(5)]
for child in children: os.waitpid(child, 0)
"""
    assert grader.run(share, memory=600_000_000)["ended"] == "finished"


@pytest.mark.parametrize(
    "bomb",
    [
        "import os\nwhile True: os.fork()",
        "import subprocess; subprocess.run(['bash', '-c', ':(){ :|:& };:; sleep 60'])",
    ],
)
def test_a_fork_bomb_ends_the_notebook(grader, bomb):
    outcome = grader.run(bomb, processes=20, threads=200)
    assert (outcome["ended"], outcome["reason"]) == (
        "crashed",
        "The notebook ran more than 20 processes at once.",
    )


def test_a_full_disk_is_an_error_in_its_cell(grader):
    fill = "with open('{}', 'wb') as file:\n  while True: file.write(bytes(10**6))"
    outcome = grader.run(fill.format("flood"), fill.format("/dev/shm/flood"), scratch=10**7, shared=10**7)
    assert outcome["ended"] == "finished"
    error = "OSError: [Errno 28] No space left on device"
    assert [(each["cell"], each["error"]) for each in outcome["errors"]] == [(1, error), (2, error)]


def test_more_than_may_be_stored_ends_the_notebook(grader, tmp_path):
    (tmp_path / "before").write_bytes(bytes(2 * 10**6))
    grader.begin(cells=["import time; time.sleep(60)"], servers=str(tmp_path), limits={"stored": 10**6})
    until(
        lambda: [
            p
            for p in psutil.Process(grader.process.pid).children(recursive=True)
            if "kernelapp" in str(p.cmdline())
        ]
    )
    (tmp_path / "more").write_bytes(bytes(2 * 10**6))
    assert grader.answer()["reason"] == "The notebook stored more than 0.001 GB in its database."


@pytest.mark.parametrize("flood", ["for _ in range(10**4): print('a line\\n' * 100)", "print('x' * 10**7)"])
def test_a_flood_of_output_is_only_that(grader, flood):
    assert grader.run(flood, "1", cell_seconds=50)["ended"] == "finished"


def test_more_output_than_can_be_held_ends_the_notebook(grader):
    outcome = grader.run("while True: print('x' * 10**8)", memory=10**9)
    assert outcome["ended"] == "crashed"


def test_a_kernel_that_no_longer_speaks_is_noticed(grader):
    outcome = grader.run("1", "get_ipython().kernel.iopub_thread.stop()", "2", answer_seconds=1)
    assert outcome["ended"] == "crashed"
    assert outcome["reason"] == "The kernel fell silent after code cell 2."


def test_a_daemon_does_not_outlive_its_notebook(grader):
    daemon = """
import os, signal, time
if os.fork():
    while not os.path.exists("daemon"): time.sleep(0.01)
else:
    os.setsid()
    if os.fork(): os._exit(0)
    for each in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(each, signal.SIG_IGN)
    open("daemon", "w").close()
    time.sleep(600)
"""
    assert grader.run(daemon)["ended"] == "finished"


def test_a_kernel_that_cannot_start_is_the_graders_failure(grader):
    done = grader.ask(cells=["1"], judge="/nowhere/to/be/found")
    assert done["ended"] == "failed"
    assert done["reason"].startswith("No kernel started in the sandbox (Kernel died")


def test_a_watch_that_fails_is_the_graders_failure(grader):
    outcome = grader.run("import time; time.sleep(60)", processes=None)
    assert outcome["ended"] == "failed"
    assert outcome["reason"].startswith("The watch failed (TypeError")


def test_an_interrupted_grader_leaves_nothing_behind(grader):
    grader.begin(cells=["import time; time.sleep(60)"])
    first = psutil.Process(grader.process.pid)
    begun = until(lambda: [p for p in first.children(recursive=True) if "kernelapp" in str(p.cmdline())])
    ours = [p for p in first.children(recursive=True) if p.name() != "bwrap" and "inside" in p.cmdline()]
    min(ours, key=psutil.Process.create_time).send_signal(signal.SIGINT)  # the others are its forks
    assert grader.answer() == {"ended": "interrupted", "left": []}
    assert all_gone(begun)


def test_a_killed_grader_leaves_nothing_behind(tmp_path):
    doomed = Worker(TMPDIR=str(tmp_path))  # it can no longer remove its files
    doomed.begin(cells=["import time; time.sleep(60)"])
    first = psutil.Process(doomed.process.pid)
    until(lambda: [p for p in first.children(recursive=True) if "kernelapp" in str(p.cmdline())])
    started = first.children(recursive=True)
    first.kill()
    doomed.process.communicate()
    assert all_gone(started)


@pytest.mark.skipif(os.geteuid() != 0, reason="we are an ordinary user already")
def test_an_ordinary_user_can_grade_too():
    with worker(ordinary()) as grader:
        outcome = grader.run("import os; os.fork()", "1/0")
        assert outcome["errors"] == [
            {"cell": 2, "error": "ZeroDivisionError: division by zero", "line": "1/0"}
        ]
        assert (
            "processes" in grader.run("import os\nwhile True: os.fork()", processes=20, threads=200)["reason"]
        )


def test_without_walls_a_notebook_runs_and_its_daemons_end(grader):
    daemon = "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)"
    done = grader.ask(cells=[daemon, "import os; os._exit(3)"], isolated=False)
    assert (done["ended"], done["reason"]) == ("crashed", "The kernel ended during code cell 2 (status 3).")
    assert done["left"] == []
