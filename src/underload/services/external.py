"""Servers of the reader's own, named by an environment variable."""

import os
import re
from urllib.parse import urlsplit

from underload.errors import UnderloadError
from underload.services.backing import BackingService, NotAnswering

# What people write, and what every client reads.
SCHEMES = {
    "DATABASE_URL": {"postgres": "postgresql", "postgresql": "postgresql"},
    "REDIS_URL": {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"},
}
EXAMPLES = {
    "DATABASE_URL": "postgresql://user:password@host:5432/database",
    "REDIS_URL": "redis://:password@host:6379/0",
}
HOST = r"([^:@/,\[\]\s]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?"
HOSTS = re.compile(f"({HOST}(,{HOST})*)?")  # none is a Unix socket


def given(service: BackingService) -> str | None:
    """Return the URL that the environment gives for a service, in a spelling every client reads, or None.

    Raises UnderloadError, without quoting any of it, if that is not such a URL.
    """
    text = os.environ.get(service.variable or "", "").strip()
    if not text:
        return None
    scheme, _, rest = text.partition("://")
    scheme = SCHEMES[service.variable].get(scheme.partition("+")[0])  # postgresql+asyncpg is SQLAlchemy's
    url = f"{scheme}://{rest}"
    if not scheme or not rest or not _is_sound(url):
        raise UnderloadError(
            f"{service.variable} is not a URL such as {EXAMPLES[service.variable]}: "
            "correct it (a password's special characters need %-escapes), or unset it."
        )
    return url


def checked(service: BackingService, url: str) -> str:
    """Return a URL behind which a server answers that is new enough, or raise UnderloadError within 5 s."""
    asked(service, url)
    return url


def asked(service: BackingService, url: str) -> str:
    """Return the version of the server behind a URL, or raise UnderloadError within 5 s if it will not do."""
    try:
        version = service.probe(url)
    except NotAnswering as reason:
        raise UnderloadError(
            f"{service.title} at {place(url)} does not answer ({reason}): start it, "
            f"or unset {service.variable} to use the embedded one."
        ) from None
    if service.is_too_old(version):
        raise UnderloadError(
            f"{service.title} at {place(url)} is {version}, and the course needs {service.least} or later: "
            f"use a newer server, or unset {service.variable} to use the embedded one."
        )
    return version


def place(url: str) -> str:
    """Return the host and port in a URL, and nothing of its user and password."""
    return urlsplit(url).netloc.rpartition("@")[2] or "its Unix socket"


def _is_sound(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    # An @ further on: an unescaped / ? or # cut the password in two, and half of it would pass for a host.
    cut = "@" in parts.path + parts.query + parts.fragment
    return not cut and HOSTS.fullmatch(parts.netloc.rpartition("@")[2]) is not None
