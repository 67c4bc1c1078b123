"""One notebook run in a sandbox and watched, until it and all that it started have ended."""

import os
import shutil
import signal
import tempfile
import traceback
from pathlib import Path

from underload.errors import UnderloadError
from underload.jobs import cells
from underload.jobs.children import adopt_orphans, die_with_parent, end_children, exit_on_sigterm, fork
from underload.jobs.ending import Ending
from underload.jobs.watch import Judgement, Watch
from underload.sandbox import Limits, Sandbox

KILLED = Ending(ended="crashed", reason="The process that watched the notebook was killed.")


def run(
    notebook: Path, sandbox: Sandbox, servers: Path | None = None, judgement: Judgement | None = None
) -> Ending:
    """Run a notebook from top to bottom and return how that ended, once nothing of it is left.

    It forks, so that what takes long is imported once and not for every notebook: call it from a process that
    has no other threads.

    Args:
        notebook: the file, which is copied.
        sandbox: where its kernel is to live.
        servers: the folder in which servers keep what the notebook stores, if it is given any.
        judgement: what follows the last cell, while the kernel still lives, if anything does.

    Raises:
        UnderloadError: the sandbox did not start, for which no notebook can be blamed.
    """
    cells.warm_up()
    with tempfile.TemporaryDirectory(prefix="underload-run-") as folder:
        copy = shutil.copyfile(notebook, Path(folder, "notebook.ipynb"))
        keeper, pipe = fork(lambda pipe: _keep(copy, sandbox, servers, judgement, pipe))
        try:
            with os.fdopen(pipe, "rb") as told:
                said = told.read()
        finally:
            os.kill(keeper, signal.SIGTERM)  # it is through, or the stop button brought us here
            os.waitpid(keeper, 0)
    ending = Ending.model_validate_json(said) if said else KILLED
    if ending.ended == "failed":
        raise UnderloadError(ending.reason)
    return ending


def _keep(
    notebook: Path, sandbox: Sandbox, servers: Path | None, judgement: Judgement | None, pipe: int
) -> None:
    """Be the ancestor of all that a notebook starts; watch it, end it, and tell how it ended."""
    exit_on_sigterm()
    die_with_parent(signal.SIGTERM)
    adopt_orphans()
    try:
        kernel = sandbox.write_kernelspec(notebook.parent)
        reader, told = fork(lambda pipe: _read(notebook, kernel, sandbox.limits, pipe))
        ending = Watch(sandbox.limits, reader, told, servers, judgement).until_over()
    except Exception as error:  # of our own, for which the notebook is not to blame
        traceback.print_exc()
        ending = Ending(ended="failed", reason=f"The watch failed ({error!r}): grade it again.")
    finally:
        end_children()
    os.write(pipe, ending.model_dump_json().encode())


def _read(notebook: Path, kernel: str, limits: Limits, pipe: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent(signal.SIGKILL)
    cells.run(notebook, kernel, limits, pipe)
