"""One load run: hand a workload to the generator, show progress, return what was measured."""

import ipaddress
import json
import math
import socket
import string
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from underload import generator, server
from underload.errors import UnderloadError
from underload.progress import progress
from underload.result import Result

DRAIN = 10.0  # seconds at most to wait, after the load, for what is still open
MOST_REQUESTS = 5_000_000  # of an open workload: what a laptop's memory holds with ease


@dataclass(frozen=True)
class Request:
    """One kind of request in a mix. Wherever a list stands, each request draws one of it at random.

    Attributes:
        url: may hold ``{name}`` for each of ``parameters``.
        method: the HTTP method.
        json: a body to send as JSON, or a list of bodies.
        body: a body to send as it is, text or a list of texts.
        headers: header values, each one text or a list of texts.
        weight: how often, relative to the other requests of the mix.
        parameters: values for the URL: a range or a list each.
    """

    url: str
    method: str = "GET"
    json: Any = None
    body: str | Sequence[str] | None = None
    headers: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    weight: float = 1.0
    parameters: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def spec(self) -> dict[str, Any]:
        """Return the request as plain values for the generator.

        Raises:
            UnderloadError: a ``{name}`` in the URL has no values, or the other way round.
        """
        parts = urlsplit(self.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        wanted = (
            {name for _, name, _, _ in string.Formatter().parse(path) if name} if self.parameters else set()
        )
        if unknown := wanted ^ self.parameters.keys():
            raise UnderloadError(
                f"{self.url} and its parameters do not match: {', '.join(sorted(unknown))}. "
                "Give each {name} in the URL a range or a list, as in id=range(1, 100)."
            )
        headers = {name: _listed(value) for name, value in self.headers.items()}
        bodies = _listed(self.body) if self.body is not None else []
        if self.json is not None:
            bodies = [
                json.dumps(body) for body in (self.json if isinstance(self.json, list) else [self.json])
            ]
            headers.setdefault("Content-Type", ["application/json"])
        parameters = {name: _values(values) for name, values in self.parameters.items()}
        if any(not values for values in (*parameters.values(), *headers.values())):
            raise UnderloadError(
                f"{self.url} has a parameter or a header with no values. Give it at least one."
            )
        return {
            "method": self.method.upper(),
            "path": path,
            "headers": headers,
            "bodies": bodies,
            "parameters": parameters,
            "weight": self.weight,
        }


def load(
    target: str | Sequence[Request],
    *,
    users: int | None = None,
    rate: float | None = None,
    seconds: float = 3.0,
    user: str | None = None,
    timeout: float = 10.0,
    seed: int = 0,
    method: str = "GET",
    json: Any = None,
    body: str | Sequence[str] | None = None,
    headers: Mapping[str, str | Sequence[str]] | None = None,
    **parameters: Sequence[Any],
) -> Result:
    """Put load on a service from a process of its own and return what was measured.

    Args:
        target: a URL, in which ``{id}`` is drawn from ``id=range(1, 100)`` for each request, or a
            list of `Request` for a mix.
        users: a *closed* workload: so many users, each waiting for its answer before it asks again.
        rate: an *open* workload: so many requests a second at times fixed beforehand, each latency
            counted from its intended start, so that a service that stalls cannot hide it
            (G. Tene, "How NOT to Measure Latency": coordinated omission).
        seconds: length of the window that counts; it opens when all users have started.
        user: a Locust user class of your own in place of the requests, such as ``"visitor:Visitor"``
            for class Visitor in visitor.py; ``target`` is then its host.
        timeout: seconds after which a request counts as not answered.
        seed: of the random draws; the same seed draws the same requests.
        method, json, body, headers, **parameters: of the requests, as in `Request`.

    Raises:
        UnderloadError: the workload makes no sense, or the generator failed. A service that fails
            does not raise: its errors are in the result.
    """
    if isinstance(target, str):
        target = [Request(target, method, json, body, headers or {}, parameters=parameters)]
    spec = _spec(target, users=users, rate=rate, seconds=seconds, user=user, timeout=timeout, seed=seed)
    served = server.find(spec["url"])
    began = time.perf_counter()
    with progress(_workload(users, rate)) as line:
        answer, columns = generator.run(spec, line.show)
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
) -> dict[str, Any]:
    _check_workload(users, rate, seconds, user)
    if not requests:
        raise UnderloadError("There is nothing to request. Give load() a URL, or a list of Request.")
    parts = urlsplit(requests[0].url)
    if parts.scheme != "http" or not parts.hostname:
        raise UnderloadError(
            f"{requests[0].url!r} is not a URL that starts with http://. Give it whole, with host and port."
        )
    if {urlsplit(request.url).netloc for request in requests} != {parts.netloc}:
        raise UnderloadError("The requests of one mix go to one host. Run a load for each host.")
    return {
        "url": f"http://{parts.netloc}",
        "host": _resolve(parts.hostname),
        "port": parts.port or 80,
        "authority": parts.netloc,
        "requests": [request.spec() for request in requests],
        "users": users,
        "rate": rate,
        "seconds": float(seconds),
        "user": user,
        "folder": str(Path.cwd()),
        "timeout": timeout,
        "drain": min(timeout, DRAIN),
        "seed": seed,
    }


def _check_workload(users: int | None, rate: float | None, seconds: float, user: str | None) -> None:
    if (users is None) == (rate is None):
        raise UnderloadError("Say either users=… (a closed workload) or rate=… (an open one).")
    if users is not None and (users != int(users) or users < 1):
        raise UnderloadError(f"users={users} makes no load. Give a whole number from 1.")
    if rate is not None and not 0 < rate < math.inf:
        raise UnderloadError(f"rate={rate} makes no load. Give a number of requests a second above 0.")
    if not 0 < seconds <= 3600:
        raise UnderloadError(f"seconds={seconds} is no window to measure in. Give between 0.1 and 3600.")
    if rate is not None and rate * seconds > MOST_REQUESTS:
        raise UnderloadError(
            f"That is {rate * seconds:,.0f} requests. Ask for {MOST_REQUESTS:,} at most in one run."
        )
    if user is not None and users is None:
        raise UnderloadError("A user class is a closed workload. Say users=… with it.")


def _resolve(host: str) -> str:
    """Return the address of ``host``; refuse one that is not ours to load."""
    try:
        address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0]
    except OSError:
        raise UnderloadError(f"There is no host called {host!r}. Check the URL.") from None
    if not ipaddress.ip_address(address).is_private:
        raise UnderloadError(
            f"{host} is a public address, and load() drives only this machine and private networks. "
            "To load a service of your own elsewhere, run Locust itself."
        )
    return address


def _workload(users: int | None, rate: float | None) -> str:
    return f"{users:,} user{'s' if users != 1 else ''}" if users else f"{rate:,g}/s offered"


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _values(values: Sequence[Any]) -> dict[str, list[int]] | list[Any]:
    if isinstance(values, range):
        return {"range": [values.start, values.stop, values.step]} if values else []
    return [values] if isinstance(values, str | int) else list(values)


def _result(
    spec: dict[str, Any],
    answer: dict[str, Any],
    columns: dict[str, np.ndarray],
    served: server.Server | None,
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
        thinking=spec["user"] is not None,
        **extra,
    )
