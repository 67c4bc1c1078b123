"""Servers that start by themselves the first time they are asked for, and are found again afterwards."""

import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from underload.errors import UnderloadError
from underload.services import reach, state
from underload.services.backing import BackingService, NotAnswering
from underload.services.state import Address
from underload.waiting import until

START_SECONDS = 20
STOP_SECONDS = 10
TOO_LITTLE = 20_000_000  # bytes: one segment of the log that PostgreSQL writes ahead, and a little

# Servers that this process started. Polling them lets the system forget those that have ended.
_children: list[subprocess.Popen] = []


def running(service: BackingService) -> str:
    """Return the address of our server, which is started if it does not run. Raises UnderloadError."""
    with _ready(service) as (address, _):
        return service.url(address)


def tried(service: BackingService) -> str:
    """Return the version that our server says, started for that if it does not run, and then stopped again.

    Meanwhile nobody else can find it, who would then lose it. Raises UnderloadError.
    """
    with _ready(service) as (address, is_new):
        try:
            return service.probe(service.url(address))
        except NotAnswering:
            raise _failure(service, "runs but does not answer") from None
        finally:
            if is_new:
                _end(service)


def process(service: BackingService) -> psutil.Process | None:
    """Return our server's process, told by its command line: a pid on file could have gone to another."""
    for child in _children:
        child.poll()
    landmark = str(service.landmark())
    parents = {}
    for each in psutil.process_iter(["cmdline"]):
        command = each.info["cmdline"] or [""]
        if landmark in command and Path(command[0]).name == service.name:
            with suppress(psutil.NoSuchProcess):
                parents[each] = each.ppid()
    # A child looks like its parent until it has found its own title.
    ours = {each.pid for each in parents}
    return next((each for each, parent in parents.items() if parent not in ours), None)


def installed(service: BackingService) -> bool:
    """Tell whether the server's program is there, which its wheel has for some platforms only."""
    return service.program().exists()


def serves(service: BackingService, url: str) -> bool:
    """Tell whether a URL leads to our server, whichever user and database it names."""
    address, parts = state.read_address(service.name), urlsplit(url)
    return address is not None and (parts.hostname, parts.port) == ("127.0.0.1", address.port)


def stop(service: BackingService) -> bool:
    """Stop our server and return whether there was one. Raises UnderloadError."""
    if not state.home().exists():  # it was deleted, perhaps under a running server
        return _end(service)
    with state.locked(service.name):
        return _end(service)


def discard(service: BackingService) -> None:
    """Kill our server and remove all that it has stored: whoever asks for it next has a new one.

    Raises UnderloadError.
    """
    with state.locked(service.name):
        _kill(service)
        if not until(lambda: _removed(service.directory()), STOP_SECONDS):
            raise UnderloadError(f"{service.directory()} cannot be removed: see what holds it.")


@contextmanager
def down(service: BackingService) -> Iterator[None]:
    """Kill our server, and bring it up on the same port at the end. No other process can start it meanwhile.

    Raises UnderloadError, at the start if it does not run, at the end if it does not come up.
    """
    with state.locked(service.name):
        address = state.read_address(service.name)
        if not address or not process(service):
            raise UnderloadError(f"{service.title} does not run: start it, and try again.")
        _kill(service)
        until(lambda: state.is_free(address.port), STOP_SECONDS)  # a thread of its may go a moment later
        try:
            # A client that keeps trying could otherwise be given this very port to connect from.
            with state.held(address.port):
                yield
        finally:
            if _start(service, address) != address:
                raise UnderloadError(f"{service.title} lost its port {address.port}: run the notebook again.")


@contextmanager
def _ready(service: BackingService) -> Iterator[tuple[Address, bool]]:
    """Hold our server's lock while it runs. Yield its address and whether it was started for that."""
    _check_installed(service)
    with state.locked(service.name):
        _check_open(service)
        address = state.read_address(service.name)
        if address and _found(service, address):
            yield address, False
        else:
            yield _start(service, address or _first_address(service)), True


def _end(service: BackingService) -> bool:
    main = process(service)
    if main:
        _signal(main, service.farewell)
        until(lambda: not _all(service), STOP_SECONDS)
    _kill(service)
    return main is not None


def _kill(service: BackingService) -> None:
    left = _all(service)
    for each in left:
        _signal(each, signal.SIGKILL)
    if left and not until(lambda: not _all(service), STOP_SECONDS):
        raise UnderloadError(f"{service.title} cannot even be killed: restart the machine.")


def _all(service: BackingService) -> list[psutil.Process]:
    main = process(service)
    return [*([main] if main else []), *service.strays()]


def _removed(directory: Path) -> bool:
    """Remove a directory, in which a server that has just been killed may write once more."""
    shutil.rmtree(directory, ignore_errors=True)
    return not directory.exists()


def _signal(target: psutil.Process, signum: int) -> None:
    with suppress(psutil.NoSuchProcess):
        target.send_signal(signum)


def _check_installed(service: BackingService) -> None:
    if not installed(service):
        own = f"set {service.variable} to a server of your own, or " if service.variable else ""
        raise UnderloadError(
            f"{service.title} is not installed here ({platform.system()} on {platform.machine()}): "
            f"{own}install the course on Linux, macOS or WSL."
        )


def _check_open(service: BackingService) -> None:
    if not state.is_open(state.home()):
        raise UnderloadError(
            f"As root, {service.title} runs as the user nobody, which may not enter the directories above "
            f"{state.home()}: unset UNDERLOAD_HOME, or set it to a place open to all, such as /opt/underload."
        )


def _first_address(service: BackingService) -> Address:
    """Return a new address. An older server is removed, which is of no use without its password."""
    _end(service)
    shutil.rmtree(service.directory(), ignore_errors=True)
    return Address(state.free_port(), state.new_password())


def _start(service: BackingService, address: Address) -> Address:
    _end(service)  # there is no server to be found, but what a killed one left would be in the way
    state.make_directory(service.directory())
    program = reach.runnable(service)
    service.prepare(program, address)
    for port in (address.port, state.free_port(), state.free_port()):
        if not state.is_free(port):
            continue  # another program has it by now
        address = replace(address, port=port)
        state.write_address(service.name, address)
        if _came_up(service, _launch(service, program, address), address):
            return address
        if state.is_free(port):
            break  # so it was not the port that it failed for
    raise _failure(service, "did not start")


def _launch(service: BackingService, program: Path, address: Address) -> subprocess.Popen:
    command = [str(program), *service.command(address)]
    log = os.open(service.log(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    try:
        child = subprocess.Popen(  # noqa: S603
            command,
            cwd=service.directory(),
            env=service.environment(address),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # so that what ends a kernel's process group spares it
            **state.account(),
        )
    finally:
        os.close(log)
    _children.append(child)
    return child


def _came_up(service: BackingService, child: subprocess.Popen, address: Address) -> bool:
    """Wait until a new server answers, or has ended, and return which of the two."""
    if not until(lambda: child.poll() is not None or _answers(service, address), START_SECONDS):
        child.kill()
        raise _failure(service, f"did not answer within {START_SECONDS} s of its start")
    return child.poll() is None


def _found(service: BackingService, address: Address) -> bool:
    """Tell whether our server runs, once it answers (another kernel may just have started it) or is gone."""
    if not until(lambda: not process(service) or _answers(service, address), START_SECONDS):
        raise _failure(service, "runs but does not answer")
    return process(service) is not None


def _answers(service: BackingService, address: Address) -> bool:
    try:
        service.probe(service.url(address))
    except NotAnswering:
        return False
    return True


def _failure(service: BackingService, what: str) -> UnderloadError:
    if shutil.disk_usage(state.home()).free < TOO_LITTLE:
        return state.disk_full()  # the log may have lost its last words for the same reason
    return UnderloadError(
        f"{service.title} {what}; its log says: {last_words(service.log())} "
        f"Run `underload services stop` and try again, or start afresh by deleting {state.home()}."
    )


def last_words(log: Path) -> str:
    """Return the line of a log that says best why a server ended: the last fatal one, or the last."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return (fatal or lines or ["nothing."])[-1]
