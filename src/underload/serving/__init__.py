"""A service that runs: in a thread of this kernel, or as uvicorn processes."""

from underload.doors import doors

__getattr__, __dir__ = doors(
    __name__,
    {"App": "app", "Server": "running", "running": "running", "serve": "server", "start": "server"},
)
__all__ = __dir__()
