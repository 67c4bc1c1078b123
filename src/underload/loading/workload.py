"""One load run: hand a workload to the generator, show progress, return what was measured."""

import ipaddress
import math
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import numpy as np

from underload.errors import UnderloadError
from underload.loading import process
from underload.loading.progress import progress
from underload.loading.request import Request
from underload.loading.result import BACK_OFF, Result, describe
from underload.loading.samples import Sample
from underload.serving import running

DRAIN = 10.0  # seconds at most to wait, after the load, for what is still open
LONGEST = 3600  # seconds
MOST_SAMPLES = 1_000
MOST_REQUESTS = 5_000_000  # of an open workload: what a laptop's memory holds with ease


def load(
    target: str | Request | Sequence[Request],
    *,
    users: int | None = None,
    rate: float | None = None,
    seconds: float = 2.0,
    user: str | None = None,
    timeout: float = 10.0,
    seed: int = 0,
    samples: int = 0,
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
        seconds: length of the window that counts; it opens when all users have started.
        user: a Locust user class of your own in place of the requests, such as ``"visitor:Visitor"``
            for class Visitor in visitor.py; ``target`` is then its host.
        timeout: seconds after which a request counts as not answered.
        seed: of the random draws; the same seed draws the same requests.
        samples: how many whole answers to keep, drawn at random, for `Result.samples`.
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
    spec = _spec(
        target,
        users=users,
        rate=rate,
        seconds=seconds,
        user=user,
        timeout=timeout,
        seed=seed,
        samples=samples,
    )
    served = running.find(spec["host"], spec["port"])
    began = time.perf_counter()
    with progress(describe(users, rate)) as line:
        answer, columns = process.run(spec, line.show)
        result = _result(spec, answer, columns, served, began)
        line.finish(str(result))
    return result


def _spec(
    requests: Sequence[Request],
    *,
    users: int | None,
    rate: float | None,
    seconds: float,
    user: str | None,
    timeout: float,
    seed: int,
    samples: int,
) -> dict[str, Any]:
    _check_workload(users, rate, seconds, timeout, user)
    _check_samples(samples, user)
    if not requests:
        raise UnderloadError("There is nothing to request. Give load() a URL, or a list of Request.")
    parts, port = _split(requests[0].url)
    for request in requests[1:]:
        if _split(request.url)[0][:2] != parts[:2]:
            raise UnderloadError("The requests of one mix go to one host. Run a load for each host.")
    return {
        "url": f"http://{parts.netloc}",
        "host": _resolve(parts.hostname),
        "port": port,
        "authority": parts.netloc,
        "requests": [request.spec() for request in requests],
        "users": users and int(users),
        "rate": rate and float(rate),
        "seconds": float(seconds),
        "user": user,
        "folder": str(Path.cwd()),
        "timeout": float(timeout),
        "drain": min(float(timeout), DRAIN),
        "back_off": BACK_OFF,
        "seed": seed,
        "samples": samples,
    }


def _check_workload(
    users: int | None, rate: float | None, seconds: float, timeout: float, user: str | None
) -> None:
    if users is None and rate is None:
        raise UnderloadError("Say users=… (a closed workload) or rate=… (an open one).")
    if users is not None and (not 1 <= users < math.inf or users != int(users)):
        raise UnderloadError(f"users={users} makes no load. Give a whole number from 1.")
    if rate is not None and not 0 < rate < math.inf:
        raise UnderloadError(f"rate={rate} makes no load. Give a number of requests a second above 0.")
    if not 0 < seconds <= LONGEST:
        raise UnderloadError(f"seconds={seconds} is no window to measure in. Give between 0.1 and {LONGEST}.")
    if not 0 < timeout <= LONGEST:
        raise UnderloadError(f"timeout={timeout} waits for no answer. Give between 0.1 and {LONGEST}.")
    if rate is not None and rate * seconds > MOST_REQUESTS:
        raise UnderloadError(
            f"That is {rate * seconds:,.0f} requests. Ask for {MOST_REQUESTS:,} at most in one run."
        )
    if user is not None and (not isinstance(user, str) or ":" not in user):
        raise UnderloadError(
            f'user={user!r} is no Locust user class. Name one as in "visitor:Visitor"; values for a '
            '{user} in the URL go into a Request(url, parameters={"user": …}).'
        )
    if user is not None and (users is None or rate is not None):
        raise UnderloadError("A user class is a closed workload. Say users=… with it.")


def _check_samples(samples: int, user: str | None) -> None:
    if not 0 <= samples <= MOST_SAMPLES:
        raise UnderloadError(f"samples={samples} cannot be kept. Give a number up to {MOST_SAMPLES:,}.")
    if samples and user:
        raise UnderloadError("A user class sees its own answers. Leave samples=… out.")


def _split(url: str) -> tuple[SplitResult, int]:
    """Return the parts of ``url`` and its port."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname:
            return parts, parts.port or 80
    except ValueError:  # a port that is no number, or half an IPv6 address
        pass
    raise UnderloadError(f"{url!r} is not a URL that starts with http://. Give it whole, with host and port.")


def _resolve(host: str) -> str:
    """Return the address of ``host``; refuse one that is not ours to load."""
    try:
        addresses = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnderloadError(f"There is no host called {host!r}. Check the URL.") from None
    # localhost has an address of either kind, and servers on it listen on the older one.
    *_, (address, *_) = min(addresses, key=lambda found: found[0] != socket.AF_INET)
    if not ipaddress.ip_address(address).is_private:
        raise UnderloadError(
            f"{host} is a public address, and load() drives only this machine and private networks. "
            "To load a service of your own elsewhere, run Locust itself."
        )
    return address


def _result(
    spec: dict[str, Any],
    answer: dict[str, Any],
    columns: dict[str, np.ndarray],
    served: running.Server | None,
    began: float,
) -> Result:
    opened = answer["opened"]
    reasons = np.array([*answer["reasons"], ""])  # index -1: there was an answer
    extra = {}
    if served:
        extra["lag"] = served.lag(opened, opened + spec["seconds"])
        extra["exception"] = served.exception_since(began)
    return Result(
        users=spec["users"],
        rate=spec["rate"],
        seconds=spec["seconds"],
        started=columns["started"] - opened,
        elapsed_ms=columns["latency"] * 1000,
        statuses=columns["status"],
        reasons=reasons[columns["reason"]],
        late_ms=columns["late"] * 1000,
        ramp=answer["ramp"],
        generator_cpu=answer["cpu"],
        unread_ms=answer["unread"] * 1000,
        thinking=spec["user"] is not None,
        samples=[Sample.heard(told) for told in answer["samples"]],
        **extra,
    )
