"""The process that runs a notebook's cells with ``pytest --nbval``, and tells its parent how that goes."""

import json
import os
import re
import resource
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import ipykernel.kernelapp  # noqa: F401 - not needed, but then the kernel finds it compiled
import nbval.plugin  # noqa: F401 - imported before the fork: it takes a second
import pytest
from jupyter_client.localinterfaces import local_ips
from jupyter_client.provisioning import KernelProvisionerFactory

from underload.jobs.ending import LONGEST_ERROR, LONGEST_LINE
from underload.judge import shortened
from underload.sandbox import GB, MB, Limits

OUTPUT_MEMORY, OUTPUT_FILE = 2 * GB, 64 * MB  # for all that the notebook prints
PLUGINS = ("no:cacheprovider", "no:assertion", "no:faulthandler", "nbval.plugin", "underload.pytest_plugin")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# IPython's frame of a cell: numbered lines with an arrow before one; or, if its syntax is wrong, that line.
OF_CELL = re.compile(r"\s*Cell In\[\d+\], line \d+[^\n]*\n(?:(?:.*\n)*?-+> \d+(?P<arrow>.*)|(?P<first>.*))")
QUIET = ("-q", "--tb=no", "--capture=no", "--show-capture=no", "--color=no")


def warm_up() -> None:
    """Do once, before the first fork, what every run would have to: look through packages and networks."""
    KernelProvisionerFactory.instance()
    local_ips()


def run(notebook: Path, kernel: str, limits: Limits, pipe: int) -> None:
    """Become the process that runs the notebook: this never returns.

    Args:
        notebook: in a private directory, which is also Jupyter's own.
        kernel: the name of a kernelspec in there.
        limits: of which those hold here that are about cells.
        pipe: where to tell, a JSON object per line, shorter than PIPE_BUF so that it arrives whole. The end
            of a notebook is told when its kernel still lives, and is left for others to bring about.
    """
    folder = notebook.parent
    _leave_behind(folder)
    reporter = Reporter(pipe, limits.answer_seconds)
    options = [f"--nbval-kernel-name={kernel}", f"--nbval-cell-timeout={limits.cell_seconds}"]
    (folder / "pytest.ini").write_text("[pytest]\n")
    places = [f"--rootdir={folder}", "-c", str(folder / "pytest.ini"), str(notebook)]
    plugins = [word for name in PLUGINS for word in ("-p", name)]
    code = pytest.main(["--nbval", *options, *plugins, *QUIET, *places], plugins=[reporter])
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        reporter.tell("finished")
    os._exit(int(code))


def _leave_behind(folder: Path) -> None:
    """Drop what the kernel must not inherit, and what too much output could harm."""
    os.environ.clear()  # pytest and Jupyter listen to much of what could be in there
    os.environ.update(
        PATH=os.defpath,
        LANG="C.UTF-8",
        HOME=str(folder),
        IPYTHONDIR=str(folder / "ipython"),
        JUPYTER_CONFIG_DIR=str(folder / "config"),
        JUPYTER_DATA_DIR=str(folder),
        JUPYTER_RUNTIME_DIR=str(folder / "runtime"),
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    os.chdir(folder)
    log = os.open(folder / "pytest.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for stream, file in enumerate((null, log, log)):
        os.dup2(file, stream)
    for what, most in ((resource.RLIMIT_DATA, OUTPUT_MEMORY), (resource.RLIMIT_FSIZE, OUTPUT_FILE)):
        _, hard = resource.getrlimit(what)
        with suppress(ValueError, OSError):  # the kernel sets its own from the hard one
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


class Reporter:
    """A pytest plugin that tells what becomes of each cell."""

    def __init__(self, pipe: int, answer_seconds: float) -> None:
        self._pipe = pipe
        self._answer_seconds = answer_seconds
        self._late = False
        self._waiting: threading.Thread | None = None

    def tell(self, event: str, **facts: Any) -> None:
        line = json.dumps({"event": event, **facts}, ensure_ascii=False) + "\n"
        os.write(self._pipe, line.encode(errors="replace"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        if self._waiting is None:
            manager = item.parent.kernel.km
            self._waiting = threading.Thread(target=self._await_end, args=(manager,), daemon=True)
            self._waiting.start()
        item.output_timeout = self._answer_seconds
        self.tell("cell", cell=item.cell_num + 1)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo) -> None:
        said = str(call.excinfo.value) if call.excinfo else ""
        if call.when == "setup" and said:
            self.tell("unstarted", error=shortened(said, LONGEST_ERROR))
            os._exit(1)
        if call.when != "call":
            return
        if item.parent.timed_out and not self._late:
            self._late = True
            self.tell("silent" if "waiting for output" in said else "late")
        elif error := _error(item):
            facts = {"error": shortened(error, LONGEST_ERROR), "line": shortened(_line(item), LONGEST_LINE)}
            self.tell("raised", cell=item.cell_num + 1, **facts)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, nextitem: pytest.Item | None) -> None:
        if nextitem is None:
            self.tell("finished")
            while True:  # what the notebook has begun to serve is judged now; then we are ended with it
                signal.pause()

    def _await_end(self, manager: Any) -> None:
        """Tell that the kernel has ended, which nbval would find out when the cell's time is over."""
        status = None
        with suppress(ChildProcessError):  # nbval has waited for it
            _, status = os.waitpid(manager.provisioner.pid, 0)
        if not manager.shutting_down:
            self.tell("died", status=None if status is None else os.waitstatus_to_exitcode(status))


def _error(item: pytest.Item) -> str:
    """Return the error that a cell ended with, as Python's last line has it."""
    errors = _errors(item)
    return ": ".join(filter(None, (errors[-1].ename, errors[-1].evalue))) if errors else ""


def _line(item: pytest.Item) -> str:
    """Return the line that raised the error: the last in the traceback that is of the notebook, if any is.

    A service's own error comes through the lab cell and our package; the line is the service's nevertheless.
    """
    frames = (COLOUR.sub("", str(each)) for error in _errors(item)[-1:] for each in error.traceback)
    lines = [OF_CELL.match(frame) for frame in frames]
    return next((match["arrow"] or match["first"] for match in reversed(lines) if match), "").strip()


def _errors(item: pytest.Item) -> list[Any]:
    return [each for each in item.test_outputs or () if each.output_type == "error"]
