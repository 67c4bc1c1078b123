"""A workload as the generator is told it: checked, and as plain values."""

import ipaddress
import math
import resource
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from underload.errors import UnderloadError
from underload.loading.request import Request

PORTS = {"http": 80, "https": 443}
OWN_FILES = 50  # that the generator has open beside its users' sockets
DRAIN = 10.0  # seconds at most to wait, after the load, for what is still open
LONGEST = 3600  # seconds
MOST_SAMPLES = 1_000
MOST_REQUESTS = 5_000_000  # of an open workload: what a laptop's memory holds with ease


def make_spec(
    requests: Sequence[Request],
    *,
    users: int | None,
    rate: float | None,
    seconds: float,
    user: str | None,
    timeout: float,
    seed: int,
    samples: int,
    arrivals: str,
    warm_up: float,
    back_off: float,
) -> dict[str, Any]:
    """Return one run's workload, whose parts are `load`'s. Raises UnderloadError if it makes no sense."""
    _check_workload(users, rate, seconds, timeout, user)
    _check_pace(arrivals, rate, warm_up, back_off)
    _check_files(users)
    _check_samples(samples, user)
    if not requests:
        raise UnderloadError("There is nothing to request. Give load() a URL, or a list of Request.")
    parts, port = _split(requests[0].url)
    for request in requests[1:]:
        if _split(request.url)[0][:2] != parts[:2]:
            raise UnderloadError("The requests of one mix go to one host. Run a load for each host.")
    return {
        "url": f"{parts.scheme}://{parts.netloc}",
        "tls": parts.scheme == "https",
        "name": parts.hostname,
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
        "back_off": float(back_off),
        "arrivals": arrivals,
        "warm_up": float(warm_up),
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


def _check_pace(arrivals: str, rate: float | None, warm_up: float, back_off: float) -> None:
    if arrivals not in ("even", "poisson"):
        raise UnderloadError(f'arrivals={arrivals!r} is not known. Say "even" or "poisson".')
    if arrivals == "poisson" and rate is None:
        raise UnderloadError("Users who wait arrive as their answers come. Say rate=… for random arrivals.")
    for name, seconds in (("warm_up", warm_up), ("back_off", back_off)):
        if not 0 <= seconds <= LONGEST:
            raise UnderloadError(f"{name}={seconds} is no time to wait. Give seconds from 0 to {LONGEST}.")


def _check_files(users: int | None) -> None:
    """Refuse what this system would not let the generator open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if users and most != resource.RLIM_INFINITY and users + OWN_FILES > most:
        raise UnderloadError(
            f"{users:,} users need {users + OWN_FILES:,} open files, and this system allows {most:,}. Raise "
            f"the limit (ulimit -Hn, or limits.conf), or use {max(1, most - OWN_FILES):,} users at most."
        )


def _check_samples(samples: int, user: str | None) -> None:
    if not 0 <= samples <= MOST_SAMPLES:
        raise UnderloadError(f"samples={samples} cannot be kept. Give a number up to {MOST_SAMPLES:,}.")
    if samples and user:
        raise UnderloadError("A user class sees its own answers. Leave samples=… out.")


def _split(url: str) -> tuple[SplitResult, int]:
    """Return the parts of ``url`` and its port."""
    try:
        parts = urlsplit(url)
        if parts.scheme in PORTS and parts.hostname:
            return parts, parts.port or PORTS[parts.scheme]
    except ValueError:  # a port that is no number, or half an IPv6 address
        pass
    raise UnderloadError(
        f"{url!r} is not a URL that starts with http:// or https://. Give it whole, with host and port."
    )


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
