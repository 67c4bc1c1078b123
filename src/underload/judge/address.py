"""What may be judged: a service of the learner's, never the judge itself nor what it runs beside it."""

from collections.abc import Iterable
from urllib.parse import urlsplit

import psutil

from underload.errors import UnderloadError
from underload.judge.family import holders
from underload.services import POSTGRES, VALKEY

NOT_A_SERVICE = "{what} listens on port {port}, no service of yours. Give Lab an app or an import string."


def check_address(port: int, handed: Iterable[str | None] = ()) -> None:
    """See that a port may be judged. Who listens decides, whatever the address looks like.

    Args:
        port: of this machine.
        handed: the URLs of backing services that a learner was given.

    Raises:
        UnderloadError: the judge listens there, one of its own processes, or a backing service.
    """
    found = set(holders(port))
    backing = {POSTGRES.name, VALKEY.name}
    if port in {urlsplit(url).port for url in handed if url} or backing & set(map(_name, found)):
        raise UnderloadError(NOT_A_SERVICE.format(port=port, what="A backing service"))
    if found & set(psutil.Process().children(recursive=True)):  # it has no port itself
        raise UnderloadError(NOT_A_SERVICE.format(port=port, what="The judge"))


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:  # it has ended
        return ""
