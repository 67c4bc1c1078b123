"""What outlives a kernel: one directory a checkout, with each server's port, password, log and files."""

import errno
import hashlib
import json
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock

from underload.course import CHECKOUT
from underload.errors import UnderloadError
from underload.files import write_whole

ROOTS_PLACE = Path("/var/lib")  # where root keeps what outlives a program, open to all
LOCK_SECONDS = 60


@dataclass(frozen=True)
class Address:
    """How to reach an embedded server: its loopback port and its password."""

    port: int
    password: str


def home() -> Path:
    """Return the state directory: what UNDERLOAD_HOME says, or .underload in the checkout.

    Root's is elsewhere. The user that servers then run as may not enter /root, and a checkout that a
    container shares with its host may know no other users.
    """
    if chosen := os.environ.get("UNDERLOAD_HOME"):
        return Path(chosen).absolute()
    if account():
        return ROOTS_PLACE / f"underload-{hashlib.sha256(bytes(CHECKOUT)).hexdigest()[:12]}"
    return CHECKOUT / ".underload"


def account() -> dict[str, int | list[int]]:
    """Return the user that servers run as: our own or, for root, nobody, since PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    import pwd  # not on Windows, where the servers' wheels are missing too

    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def is_open(path: Path) -> bool:
    """Tell whether the user that servers run as can enter this directory, or run this program."""
    path = path.resolve()
    return not account() or all(each.stat().st_mode & stat.S_IXOTH for each in (path, *path.parents))


def make_home() -> Path:
    """Create the state directory. Other users can neither list it nor read the secrets in it."""
    directory = home()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    now = directory.stat()
    if now.st_uid != os.geteuid():
        raise UnderloadError(
            f"The state directory {directory} belongs to another user: "
            "work as that user, or set UNDERLOAD_HOME to a directory of your own."
        )
    if account():  # that user passes through it to directories of its own
        directory.chmod(now.st_mode | stat.S_IXOTH)
    return directory


def make_directory(directory: Path) -> None:
    """Create the directory of one server, which only the user that it runs as may enter."""
    directory.mkdir(mode=0o700, exist_ok=True)
    give_to_account(directory)


def give_to_account(path: Path) -> None:
    """Make the user that servers run as the owner of a file or directory."""
    if user := account():
        os.chown(path, user["user"], user["group"])


def read_address(name: str) -> Address | None:
    """Return what is known of a server, or None if nothing legible is."""
    try:
        return Address(**json.loads((home() / f"{name}.json").read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def write_address(name: str, address: Address) -> None:
    """Remember how to reach a server."""
    write_whole(home() / f"{name}.json", json.dumps(asdict(address)), private=True)


def new_password() -> str:
    """Return a password that cannot be guessed, of characters that a URL need not quote."""
    return secrets.token_urlsafe(24)


def free_port() -> int:
    """Return a loopback port on which no program listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
        return True


@contextmanager
def held(port: int) -> Iterator[None]:
    """Keep a loopback port from being given to any other program. Connections to it are refused."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # another program was faster
            holder.bind(("127.0.0.1", port))
        yield


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold a server's lock, so that kernels starting at once make one server."""
    with explained():
        lock = filelock.FileLock(make_home() / f"{name}.lock", timeout=LOCK_SECONDS, mode=0o600)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise UnderloadError(
                f"Another process has been busy starting {name} for {LOCK_SECONDS} s: "
                "stop that notebook's kernel and run this cell again."
            ) from None
        try:
            yield
        finally:
            lock.release()


def disk_full() -> UnderloadError:
    """Return the error to raise when there is no room for a server's files."""
    return UnderloadError(f"The disk that holds {home()} is full: free some 500 MB and try again.")


@contextmanager
def explained() -> Iterator[None]:
    """Turn what the operating system refuses into a sentence and a next step."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full() from None
        user = ", or work as an ordinary user" if account() else ""  # some containers limit what root may do
        raise UnderloadError(
            f"The state directory {home()} cannot be used ({error.strerror or error}): "
            f"set UNDERLOAD_HOME to a directory that you may write to{user}."
        ) from None
