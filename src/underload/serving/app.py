"""An app together with the way to serve it."""

from collections.abc import Callable
from typing import Any


class App:
    """An app and how uvicorn serves it, in one value, for `serve`, and for the cell of a lab with `Lab`.

    In a lab that cell cannot be changed. Write the app to a file, with ``%%writefile service.py`` as the
    first line of its cell, and then say in a cell of your own ``app = App("service:app", processes=2)``.

    Args:
        app: an ASGI app, or an import string such as ``"service:app"``.
        processes: how many uvicorn workers share the port (an import string only).
        **options: uvicorn's settings, as for `serve`.
    """

    def __init__(self, app: Callable[..., Any] | str, *, processes: int = 1, **options: Any) -> None:
        self.app = app
        self.processes = processes
        self.options = options

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"App({self.app!r}, processes={self.processes}{options})"
