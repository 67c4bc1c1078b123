"""Run an ASGI app: in a thread of this kernel, or as uvicorn processes from an import string."""

import gc
from collections.abc import Callable
from typing import Any

from underload.child import raise_file_limit
from underload.errors import UnderloadError
from underload.serving.app import App
from underload.serving.in_kernel import ThreadServer
from underload.serving.processes import ProcessServer
from underload.serving.running import START_LIMIT, Server, named, register, tell_companions


def serve(
    app: Callable[..., Any] | str | App,
    *,
    name: str = "app",
    port: int = 0,
    processes: int = 1,
    start_within: float = START_LIMIT,
    **options: Any,
) -> Server:
    """Start a service on 127.0.0.1 and return once it answers.

    Args:
        app: an ASGI app, run in a thread of this kernel, or an import string such as
            ``"service:app"``, run from the current folder as uvicorn processes, or an `App`, which says
            itself what ``processes`` and ``options`` are.
        name: a running server of this name is stopped first, so a cell can be run again.
        port: the port to use; 0 takes a free one.
        processes: how many uvicorn workers share the port (an import string only).
        start_within: seconds until it must answer.
        **options: uvicorn's settings, such as ``limit_concurrency=100`` or ``loop="asyncio"``. Several
            workers of uvicorn 0.54 on that loop leave Nagle's algorithm on, which costs 40 ms an answer.

    Raises:
        UnderloadError: this is no app, the port is taken, or the service was not up in time.
        Exception: whatever the app itself raised in its start-up.
    """
    tell_companions()
    return start(app, name=name, port=port, processes=processes, start_within=start_within, **options)


def start(
    app: Callable[..., Any] | str | App,
    *,
    name: str,
    port: int = 0,
    processes: int = 1,
    start_within: float = START_LIMIT,
    **options: Any,
) -> Server:
    """Do what `serve` does, and tell nobody: the service is not one that a reader will put load on."""
    if isinstance(app, App):
        app, processes, options = app.app, app.processes, app.options
    if processes < 1:
        raise UnderloadError(f"processes={processes} serves nothing. Give a whole number from 1.")
    if not isinstance(app, str) and not callable(app):
        raise UnderloadError(
            f'{app!r} is no app. Give serve() your FastAPI object, or an import string such as "service:app".'
        )
    if not 0 < start_within < float("inf"):
        raise UnderloadError(f"start_within={start_within} is no time to start in. Give seconds above 0.")
    if before := named(name):
        before.stop()
    raise_file_limit()
    if isinstance(app, str):
        server = ProcessServer(app, name, port, processes, start_within, **options)
    elif processes > 1:
        raise UnderloadError(
            'Several processes need an import string: write the app to a file, then serve("service:app", '
            f"processes={processes})."
        )
    else:
        _spare_collections()
        server = ThreadServer(app, name, port, start_within, **options)
    register(server)
    return server


def _spare_collections() -> None:
    """Leave what the kernel holds out of later garbage collections.

    A notebook's kernel holds so many objects that looking through them all stalls a service in it for
    some 70 ms, which the same service in a process of its own does not suffer.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
