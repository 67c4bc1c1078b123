"""HTTP as the load generator speaks it: requests made from templates, answers read from a socket.

Like `underload.loading.generator.main` this is for the Locust process alone: it imports gevent.
"""

import errno
import ipaddress
import random
import re
import ssl
from typing import Any

import httptools
from gevent import socket
from gevent.ssl import SSLContext

from underload.loading.generator.alarm import clock
from underload.loading.outcome import FAILED_HERE, GIVEN_UP, NO_ANSWER
from underload.loading.samples import Sample

LOCATION = re.compile(rb"\r\nlocation:[ \t]*([^\r\n]*)", re.IGNORECASE)
# What this process lacks, so that it could not even ask.
LACKS = {
    errno.EMFILE: "out of open files",
    errno.ENFILE: "out of open files",
    errno.EADDRNOTAVAIL: "out of ports",
    errno.ENOBUFS: "out of memory for sockets",
    errno.ENOMEM: "out of memory",
}


class PublicAddress(OSError):
    """A user class asked for an address that is not ours to load."""


class Connection:
    """One keep-alive connection: send a request, read the whole answer.

    Locust's FastHttpSession costs about 110 µs of generator CPU a request and saturates before a
    trivial service does; this costs about 35 µs. It follows no redirects and keeps no cookies.

    Args:
        address: host and port.
        tls: how to speak TLS, if at all.
        name: of the server, for TLS.
    """

    def __init__(self, address: tuple[str, int], tls: SSLContext | None = None, name: str = "") -> None:
        self.address = address
        self.tls = tls
        self.name = name
        self.socket = None
        self.sent_at: float | None = None
        self.sample: Sample | None = None
        self.last_used = 0.0

    def open(self, deadline: float) -> None:
        self.socket = socket.create_connection(self.address, _left(deadline))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            self.socket = self.tls.wrap_socket(self.socket, server_hostname=self.name)
        self.parser = httptools.HttpResponseParser(self)

    def close(self) -> None:
        if self.socket:
            self.socket.close()
            self.socket = None

    def on_headers_complete(self) -> None:  # httptools calls this
        self.headed = self.parser.get_status_code() >= 200
        if self.headed and self.bodiless:
            self.on_message_complete()

    def on_message_complete(self) -> None:  # and this
        status = self.parser.get_status_code()
        if status >= 200:  # an answer of 1xx only announces another
            self.status = status
            self.keep = self.parser.should_keep_alive()  # llhttp forgets once it has left this callback

    def exchange(self, request: bytes, deadline: float) -> int:
        """Send ``request`` and return the status of its answer once the body has been read.

        Raises:
            TimeoutError: the whole of it, the connecting included, was not done by ``deadline``.
            OSError, httptools.HttpParserError: there was no answer for another reason.
        """
        try:
            if self.socket is None:
                self.open(deadline)
            self._exchange(request, deadline)
        except BaseException:
            self.close()  # whatever is still on its way belongs to no later request
            raise
        if not self.keep or self.status == 500:  # uvicorn closes, unannounced, when the app has raised
            self.close()
        elif self.bodiless:  # the parser still waits for a body
            self.parser = httptools.HttpResponseParser(self)
        return self.status

    def _exchange(self, request: bytes, deadline: float) -> None:
        self.status = 0
        self.keep = self.headed = False
        self.bodiless = request.startswith(b"HEAD ")
        self.head = b""
        self.socket.settimeout(_left(deadline))
        self.socket.sendall(request)
        while True:
            data = self.socket.recv(65536)
            if not data:
                return self._closed()
            if not self.headed:
                self.head += data
            self.parser.feed_data(data)
            if self.status:
                return None
            self.socket.settimeout(_left(deadline))  # a timeout of the socket's starts anew with every piece

    def _closed(self) -> None:
        """The server closed: that is a whole answer only if nothing announced its length."""
        announced = self.head.partition(b"\r\n\r\n")[0].lower()
        if not self.headed or b"\r\ncontent-length:" in announced or b"\r\ntransfer-encoding:" in announced:
            raise ConnectionAbortedError
        self.status = self.parser.get_status_code()

    @property
    def location(self) -> str:
        """Where the last answer, a redirect, points to."""
        found = LOCATION.search(self.head)
        return found[1].decode("latin-1") if found else "nowhere"


def _left(deadline: float) -> float:
    """Return the seconds until ``deadline``. Raises TimeoutError if it has passed."""
    left = deadline - clock()
    if left <= 0:
        raise TimeoutError
    return left


def tls_context(host: str) -> SSLContext:
    """Return how to speak TLS. On this machine, certificates are not checked: they are its own."""
    context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    if ipaddress.ip_address(host).is_loopback:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class SampledConnection(Connection):
    """One that keeps the headers and body of an answer that is in the sample.

    Apart, since a parser calls these for each header and piece of every answer if they are there.
    """

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.sample:
            self.sample.add_header(name, value)

    def on_body(self, data: bytes) -> None:
        if self.sample:
            self.sample.add_body(data)


class Template:
    """One kind of request, its varied parts drawn at random for each one sent."""

    def __init__(self, spec: dict[str, Any], host: str) -> None:
        self.method = spec["method"]
        self.path = spec["path"]
        self.parameters = {
            name: range(*values["range"]) if isinstance(values, dict) else values
            for name, values in spec["parameters"].items()
        }
        self.headers = {"Host": [host], **spec["headers"]}
        self.bodies = [body.encode() for body in spec["bodies"]]
        self.drawn: dict[str, Any] = {}  # for the parameters of the last request
        varied = [*self.parameters.values(), *self.headers.values(), self.bodies]
        self.fixed = None if any(len(values) > 1 for values in varied) else self.draw()

    def draw(self) -> bytes:
        path = self.path
        if self.parameters:
            self.drawn = {name: random.choice(values) for name, values in self.parameters.items()}
            path = path.format_map(self.drawn)
        lines = [f"{self.method} {path} HTTP/1.1"]
        lines += [f"{name}: {random.choice(values)}" for name, values in self.headers.items()]
        body = random.choice(self.bodies) if self.bodies else b""
        if body or self.method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body


class Requests:
    """The mix of requests: which one comes next, by weight."""

    def __init__(self, specs: list[dict[str, Any]], host: str) -> None:
        self.templates = [Template(spec, host) for spec in specs]
        self.weights = [spec["weight"] for spec in specs]
        self.one = self.templates[0] if len(specs) == 1 else None
        self.last = self.templates[0]

    def next(self) -> bytes:
        self.last = template = self.one or random.choices(self.templates, self.weights)[0]
        return template.fixed or template.draw()

    @property
    def drawn(self) -> dict[str, Any]:
        """What was drawn for the parameters of the last request."""
        return self.last.drawn


def explain(error: BaseException, timeout: float) -> tuple[int, str]:
    """Return what became of a request without an answer, and why in a few words."""
    if isinstance(error, httptools.HttpParserError):
        return NO_ANSWER, "the answer was not HTTP"
    known = {
        TimeoutError: (GIVEN_UP, f"no answer within {timeout:g} s"),
        ConnectionRefusedError: (NO_ANSWER, "connection refused"),
        ConnectionResetError: (NO_ANSWER, "connection reset"),
        BrokenPipeError: (NO_ANSWER, "connection reset"),
        ConnectionAbortedError: (NO_ANSWER, "connection closed before the answer ended"),
    }
    cause: BaseException | None = error
    while cause:  # a client library wraps what the system said
        if type(cause) in known:
            return known[type(cause)]
        if isinstance(cause, PublicAddress):
            return FAILED_HERE, str(cause)
        if lack := LACKS.get(getattr(cause, "errno", None)):
            return FAILED_HERE, lack
        cause = getattr(cause, "original", None) or cause.__cause__ or cause.__context__
    return NO_ANSWER, getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"[:120]
