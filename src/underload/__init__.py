"""FastAPI Under Load: start a service, put load on it, see what happened."""

from underload import loopback
from underload.doors import doors

loopback.bypass_proxies()  # wherever a kernel was started, before anything of it asks a service

__getattr__, __dir__ = doors(
    __name__,
    {
        "App": "serving",
        "Lab": "judge",
        "Request": "loading",
        "Result": "loading",
        "Server": "serving",
        "caddy": "services",
        "ceilings": "teaching",
        "claim": "teaching",
        "compare": "teaching",
        "flights": "services",
        "load": "loading",
        "plots": "teaching",
        "postgres": "services",
        "predict": "teaching",
        "predictions": "teaching",
        "serve": "serving",
        "upstream": "judge",
        "valkey": "services",
    },
)
__all__ = __dir__()
