"""PostgreSQL, Valkey and Caddy: embedded or the reader's own, started once, found again, stopped."""

import os
from dataclasses import dataclass, replace

from underload import channel
from underload.errors import UnderloadError
from underload.services import embedded, external, state
from underload.services.backing import BackingService, NotAnswering
from underload.services.cache import Valkey
from underload.services.database import Postgres
from underload.services.proxy import Caddy

__all__ = ["Status", "caddy", "postgres", "status", "stop", "valkey"]

ALL: tuple[BackingService, ...] = (Postgres(), Valkey(), Caddy())
POSTGRES, VALKEY, CADDY = ALL

_latest_valkey: dict[int, str] = {}  # by pid, since what a fork inherits is not its own


@dataclass(frozen=True)
class Status:
    """What is known of a service without starting it."""

    name: str
    where: str  # host and port, never a password
    running: bool
    version: str | None
    pid: int | None
    embedded: bool


def postgres() -> str:
    """Return the DSN of PostgreSQL's maintenance database, starting the embedded server if need be.

    If DATABASE_URL is set, that server is used and nothing is started. Raises UnderloadError.
    """
    if channel.is_graded():
        raise UnderloadError(
            "A graded run has no server of its own. Call flights(), which gives it a database."
        )
    return address(POSTGRES)


def valkey(lab: bool = False) -> str:
    """Return the URL of Valkey, starting the embedded server if need be.

    If REDIS_URL is set, that server is used and nothing is started, unless it is for a lab whose judge has to
    pause or kill the server. A graded run is given one by the judge. Raises UnderloadError.
    """
    url = channel.ask("valkey")["url"] if channel.is_graded() else address(VALKEY, lab)
    _latest_valkey[os.getpid()] = url
    return url


def latest_valkey() -> str | None:
    """Return the URL that this process was given last, or None if it has asked for none."""
    return _latest_valkey.get(os.getpid())


def caddy() -> str:
    """Return the base URL of Caddy's admin API, starting Caddy without any site if need be.

    A configuration posted there should leave its admin section out. Raises UnderloadError.
    """
    return address(CADDY)


def address(service: BackingService, lab: bool = False) -> str:
    """Return the administrator's URL of a service: the one that is set, or that of the embedded server.

    For a lab it is the embedded one in any case, unless that cannot run here. Raises UnderloadError.
    """
    url = external.given(service)
    if url and not (lab and embedded.installed(service)):
        return external.checked(service, url)
    return embedded.running(service)


def behind(service: BackingService, url: str) -> str:
    """Return the administrator's URL of the server that a user's URL leads to. Raises UnderloadError."""
    return embedded.running(service) if embedded.serves(service, url) else address(service)


def status() -> list[Status]:
    """Return how each service is, without starting any.

    Embedded servers that run beside one of the reader's own come last.
    """
    beside = [service for service in ALL if external.given(service) and embedded.process(service)]
    found = [_status(service, external.given(service)) for service in ALL]
    return found + [replace(_status(each, None), name=f"{each.title} for labs") for each in beside]


def stop() -> list[str]:
    """Stop every embedded server and return the names of those that ran. Their data stays."""
    return [service.title for service in ALL if embedded.stop(service)]


def _status(service: BackingService, own: str | None) -> Status:
    """Return how the reader's own server is, or the embedded one."""
    process = None if own else embedded.process(service)
    known = state.read_address(service.name)
    url = service.url(known) if process and known else own
    version = _version(service, url) if url else None
    return Status(
        name=service.title,
        where=external.place(url) if url else "",
        running=version is not None,
        version=version,
        pid=process.pid if process else None,
        embedded=own is None,
    )


def _version(service: BackingService, url: str) -> str | None:
    try:
        return service.probe(url)
    except NotAnswering:
        return None
