"""PostgreSQL, Valkey and Caddy: embedded or the reader's own, started once, found again; and the flights."""

from underload.doors import doors

__getattr__, __dir__ = doors(
    __name__,
    {
        "ALL": "servers",
        "LOG_LINE_PREFIX": "database",
        "NotAnswering": "backing",
        "POSTGRES": "servers",
        "BackingService": "backing",
        "Status": "servers",
        "VALKEY": "servers",
        "behind": "servers",
        "caddy": "servers",
        "dataset": "dataset",
        "embedded": "embedded",
        "external": "external",
        "flights": "dataset",
        "latest_valkey": "servers",
        "postgres": "servers",
        "state": "state",
        "status": "servers",
        "stop": "servers",
        "valkey": "servers",
    },
)
__all__ = __dir__()
