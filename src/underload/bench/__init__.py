"""The instrument measured: against wrk and k6, which share no code with it, and against its budgets."""

from underload.doors import doors

__getattr__, __dir__ = doors(
    __name__,
    {
        "Known": "specimens",
        "QUICK": "budgets",
        "THOROUGH": "budgets",
        "left_out": "references",
        "measure": "budgets",
        "waits": "specimens",
    },
)
__all__ = __dir__()
