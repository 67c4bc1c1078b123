"""FastAPI Under Load: start a service, put load on it, see what happened."""

from importlib import import_module
from typing import Any

_FACES = {
    "Lab": "underload.judge.lab",
    "Request": "underload.workload",
    "Result": "underload.result",
    "Server": "underload.server",
    "ceilings": "underload.ceilings",
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
    "upstream": "underload.judge.lab",
    "valkey": "underload.services",
}
__all__ = sorted(_FACES)


def __getattr__(name: str) -> Any:
    """Import a face when it is first asked for: the load generator must not pay for matplotlib."""
    if name not in _FACES:
        raise AttributeError(f"module 'underload' has no attribute {name!r}")
    module = import_module(_FACES[name])
    return module if module.__name__ == f"underload.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return __all__
