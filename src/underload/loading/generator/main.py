"""The load generator: the Locust process.

It is started once, with Locust imported, and forks for every run: a run begins at once and
leaves nothing behind. A run is one line of JSON on standard input (see `underload.loading.workload`).
It answers on standard output: when the window opens, a line of progress twice a second, then one line
that describes the rows, then the rows themselves, column by column, as raw arrays.
"""

import gc
import json
import os
import random
import sys
from collections.abc import Callable
from typing import Any

from gevent import monkey

from underload.loading.generator.arrivals import closed, custom, opened
from underload.loading.generator.rows import claim_stdout, tell
from underload.loading.generator.run import Run


def perform(spec: dict[str, Any]) -> None:
    """Make one run and send back what was measured."""
    random.seed(spec["seed"])
    gc.disable()  # a collection would show up as latency; the run is short and the process ends with it
    run = Run(spec)
    arrive = custom if spec["user"] else opened if spec["rate"] else closed
    ramp, unstarted = arrive(run)
    run.rows.send(
        opened=run.opened,
        ramp=ramp,
        unstarted=unstarted,
        cpu=run.cpu,
        in_flight=run.in_flight,
        rested=run.rested,
        samples=[sample.told() for sample in run.samples.samples] if run.samples else [],
    )


def in_a_fork(work: Callable[[], None]) -> None:
    """Do ``work`` in a forked process and wait for it. The originals, so that no event loop exists here."""
    process = monkey.get_original("os", "fork")()
    if process:
        _, ending = monkey.get_original("os", "waitpid")(process, 0)
        if os.WIFSIGNALED(ending):
            tell(problem=f"it was ended by signal {os.WTERMSIG(ending)}")
        return
    try:
        work()
    except BaseException as error:  # to be told, not lost with the process
        tell(problem=f"{type(error).__name__}: {error}")
    finally:
        os._exit(0)


def main() -> None:
    """Serve runs until standard input closes."""
    claim_stdout()
    gc.freeze()
    for line in sys.stdin.buffer:
        spec = json.loads(line)
        in_a_fork(lambda spec=spec: perform(spec))


if __name__ == "__main__":
    main()
