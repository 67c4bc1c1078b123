"""FastAPI Under Load: start a service, put load on it, see what happened."""

from importlib import import_module
from typing import Any

_FACES = {
    "Request": "underload.workload",
    "Result": "underload.result",
    "Server": "underload.server",
    "caddy": "underload.services",
    "claim": "underload.teaching",
    "compare": "underload.teaching",
    "flights": "underload.dataset",
    "load": "underload.workload",
    "plots": "underload.plots",
    "postgres": "underload.services",
    "predict": "underload.teaching",
    "predictions": "underload.teaching",
    "serve": "underload.server",
    "valkey": "underload.services",
}
__all__ = sorted(_FACES)


def __getattr__(name: str) -> Any:
    """Import a face when it is first asked for: the load generator must not pay for matplotlib."""
    if name not in _FACES:
        raise AttributeError(f"module 'underload' has no attribute {name!r}")
    if name == "plots":
        return import_module("underload.plots")
    return getattr(import_module(_FACES[name]), name)


def __dir__() -> list[str]:
    return __all__
