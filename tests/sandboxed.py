"""A worker in a network of its own, as the grader has one a job, that tries code and notebooks for the tests.

It can be started as root or as an ordinary user, who may not enter the places where root keeps its Python.
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psutil

from underload import sandbox
from underload.course import CHECKOUT
from underload.errors import UnderloadError
from underload.sandbox import mounts
from underload.sandbox.limits import Limits

ORDINARY = 1234  # a user without a name, a home or rights
SECONDS = 60


def ordinary() -> list[str]:
    """Return what to put before a command to run it as an ordinary user, if we are root."""
    needed = [Path(sys.prefix), Path(sys.base_prefix), CHECKOUT]
    closed = {each for path in needed for each in path.parents if not each.stat().st_mode & 0o001}
    hidden = [word for each in closed for word in ("--perms", "0755", "--tmpfs", str(each))]
    return [
        *("bwrap", "--dev-bind", "/", "/", *hidden, *(mounts.shown(*needed) if hidden else ()), "--"),
        *("setpriv", "--reuid", str(ORDINARY), "--regid", str(ORDINARY), "--clear-groups", "--"),
    ]


class Worker:
    def __init__(self, prefix=(), **environment):
        self.process = subprocess.Popen(
            [*prefix, sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def ask(self, **question):
        self.begin(**question)
        return self.answer()

    def begin(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        assert line, "the worker has ended"
        return json.loads(line)

    def probe(self, code, arguments=(), **place):
        """Run code in a sandbox and return what it printed, once it has ended well."""
        done = self.ask(code=code, arguments=[str(each) for each in arguments], **place)
        assert done["status"] == 0, done["said"]
        return done["said"].strip()

    def run(self, *cells, **limits):
        """Run a notebook and return how that ended. What it leaves behind fails the test."""
        done = self.ask(cells=cells, limits={"wall_seconds": 60, "cell_seconds": 30, **limits})
        assert done.pop("left") == []
        return done


@contextmanager
def worker(prefix=(), **environment):
    started = Worker(prefix, **environment)
    try:
        yield started
    finally:
        started.process.stdin.close()
        started.process.stdout.close()
        started.process.wait(SECONDS)


def main():
    """Start again in a network of our own, unless that has happened."""
    if sys.argv[1:] != ["inside"]:
        os.execvp("bwrap", [*sandbox.outer(), sys.executable, __file__, "inside"])
    for line in sys.stdin:
        question = json.loads(line)
        answer = attempt if "cells" in question else probe
        print(json.dumps(answer(**question)), flush=True)


def probe(code, arguments, **place):
    with tempfile.TemporaryDirectory() as folder:
        command = placed(**place).command(["-c", code, *arguments], Path(folder))
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
        )
    return {"status": done.returncode, "said": done.stdout}


def attempt(cells, servers=None, **place):
    import nbformat

    from underload.jobs import execution

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "notebook.ipynb")
        nbformat.write(notebook, path)
        try:
            outcome = execution.run(path, placed(**place), servers and Path(servers)).model_dump()
        except KeyboardInterrupt:
            outcome = {"ended": "interrupted"}
        except UnderloadError as error:
            outcome = {"ended": "failed", "reason": str(error)}
    return {**outcome, "left": others()}


def others():
    """Return all that runs in here but us and the first process, which nobody started."""
    return [str(each) for each in psutil.process_iter() if each.pid not in (1, os.getpid())]


def placed(limits=None, judge=None, **place):
    return sandbox.Sandbox(limits=Limits(**(limits or {})), judge=judge and Path(judge), **place)


if __name__ == "__main__":
    main()
