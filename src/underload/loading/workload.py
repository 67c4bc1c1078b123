"""One load run: hand a workload to the generator, show progress, return what was measured."""

import math
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from underload.errors import UnderloadError
from underload.loading import process
from underload.loading.progress import progress
from underload.loading.request import Request
from underload.loading.result import Result
from underload.loading.samples import Sample
from underload.loading.spec import make_spec
from underload.loading.wording import workload
from underload.serving import running

WARM_UP = 0.2  # seconds
BACK_OFF = 0.1  # seconds, so that a dead port is not hammered


def load(
    target: str | Request | Sequence[Request],
    *,
    users: int | None = None,
    rate: float | None = None,
    seconds: float = 2.0,
    user: str | None = None,
    timeout: float = 10.0,
    seed: int | None = None,
    samples: int = 0,
    arrivals: str = "even",
    warm_up: float = WARM_UP,
    back_off: float = BACK_OFF,
    method: str = "GET",
    json: Any = None,
    body: str | Sequence[str] | None = None,
    headers: Mapping[str, str | Sequence[str]] | None = None,
    **parameters: Sequence[Any],
) -> Result:
    """Put load on a service from a process of its own and return what was measured.

    Args:
        target: a URL, in which ``{id}`` is drawn from ``id=range(1, 100)`` for each request, or a
            `Request`, or a list of them for a mix.
        users: a *closed* workload: so many users, each waiting for its answer before it asks again.
        rate: an *open* workload: so many requests a second at times fixed beforehand, each latency
            counted from its intended start, so that a service that stalls cannot hide it; with ``users``
            too, over so many connections at most, and what waits for one is counted just the same
            (G. Tene, "How NOT to Measure Latency": coordinated omission).
        seconds: length of the window that counts, see `underload.loading` for when it opens.
        user: a Locust user class of your own in place of the requests, such as ``"visitor:Visitor"``
            for class Visitor in visitor.py; ``target`` is then its host.
        timeout: seconds from its (intended) start after which a request is given up.
        seed: of the random draws; the same seed draws the same requests, and None draws a new one.
        samples: how many whole answers to keep, drawn at random, for `Result.samples`.
        arrivals: of an open workload: ``"even"`` spaces them alike; ``"poisson"`` draws random gaps, as
            visitors who know nothing of one another make them, so that a queue shows what it does.
        warm_up: seconds of an open workload before its window opens.
        back_off: seconds a user waits after a failure: no answer, or a status of 429 or 500 and above.
        method, json, body, headers, **parameters: of the requests, as in `Request`.

    Raises:
        UnderloadError: the workload makes no sense, or the generator failed. A service that fails
            does not raise: its errors are in the result.
    """
    if isinstance(target, str):
        target = Request(target, method, json, body, headers or {}, parameters=parameters)
    elif method != "GET" or headers or parameters or json is not None or body is not None:
        raise UnderloadError("A Request says itself what to send. Give it the method, headers and so on.")
    target = [target] if isinstance(target, Request) else target
    plan = make_spec(
        target,
        users=users,
        rate=rate,
        seconds=seconds,
        user=user,
        timeout=timeout,
        seed=random.getrandbits(32) if seed is None else seed,
        samples=samples,
        arrivals=arrivals,
        warm_up=warm_up,
        back_off=back_off,
    )
    served = running.find(plan["host"], plan["port"])
    began = time.perf_counter()
    at_work: list[float] = []  # the service's seconds at work, when the window opens and when it closes

    def look() -> None:
        at_work.append(served.wanted() if served else math.nan)

    with progress(workload(users, rate)) as line:
        answer, columns = process.run(plan, line.show, look)
        result = _result(plan, answer, columns, served, began, at_work)
        line.finish(str(result))
    return result


def _result(
    plan: dict[str, Any],
    answer: dict[str, Any],
    columns: dict[str, np.ndarray],
    served: running.Server | None,
    began: float,
    at_work: list[float],
) -> Result:
    opened = answer["opened"]
    reasons = np.array([*answer["reasons"], ""])  # index -1: there was an answer
    extra, service_cpu = {}, math.nan
    if served:
        service_cpu = (at_work[-1] - at_work[0]) / plan["seconds"] / served.parallel
        extra["lag"] = served.lag(opened, opened + plan["seconds"])
        extra["exception"] = served.exception_since(began)
    return Result(
        users=plan["users"],
        rate=plan["rate"],
        seconds=plan["seconds"],
        started=columns["started"] - opened,
        elapsed_ms=columns["latency"] * 1000,
        statuses=columns["status"],
        reasons=reasons[columns["reason"]],
        late_ms=columns["late"] * 1000,
        unread_ms=columns["unread"] * 1000,
        outcomes=columns["outcome"],
        ramp=answer["ramp"],
        unstarted=answer["unstarted"],
        generator_cpu=answer["cpu"],
        service_cpu=service_cpu,
        counted_in_flight=math.nan if plan["user"] else answer["in_flight"],
        rested=answer["rested"],
        arrivals=plan["arrivals"],
        seed=plan["seed"],
        thinking=plan["user"] is not None,
        samples=[Sample.heard(told) for told in answer["samples"]],
        **extra,
    )
