"""PostgreSQL, Valkey and Caddy: embedded or the reader's own, started once, found again, stopped."""

from dataclasses import dataclass

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
    return _address(POSTGRES)


def valkey() -> str:
    """Return the URL of Valkey, starting the embedded server if need be.

    If REDIS_URL is set, that server is used and nothing is started. A graded run is given one by the judge.
    Raises UnderloadError.
    """
    if channel.is_graded():
        return channel.ask("valkey")["url"]
    return _address(VALKEY)


def caddy() -> str:
    """Return the base URL of Caddy's admin API, starting Caddy without any site if need be.

    A configuration posted there should leave its admin section out. Raises UnderloadError.
    """
    return _address(CADDY)


def status() -> list[Status]:
    """Return how each service is, without starting any."""
    return [_status(service) for service in ALL]


def stop() -> list[str]:
    """Stop every embedded server and return the names of those that ran. Their data stays."""
    return [service.title for service in ALL if embedded.stop(service)]


def _address(service: BackingService) -> str:
    if url := external.given(service):
        return external.checked(service, url)
    return embedded.running(service)


def _status(service: BackingService) -> Status:
    url = external.given(service)
    process = None if url else embedded.process(service)
    address = state.read_address(service.name)
    if process and address:
        url = service.url(address)
    version = _version(service, url) if url else None
    return Status(
        name=service.title,
        where=external.place(url) if url else "",
        running=version is not None,
        version=version,
        pid=process.pid if process else None,
        embedded=not external.given(service),
    )


def _version(service: BackingService, url: str) -> str | None:
    try:
        return service.probe(url)
    except NotAnswering:
        return None
