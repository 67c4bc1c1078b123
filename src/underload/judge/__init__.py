"""The judge: what a lab's checks are made of, and the process that observes a service and grants points."""

from underload.doors import doors

__getattr__, __dir__ = doors(
    __name__,
    {
        "Answer": "client",
        "Check": "requirements",
        "Desk": "observer",
        "Failed": "expect",
        "LONGEST_CHECK": "observer",
        "Lab": "lab",
        "Load": "service",
        "Observed": "expect",
        "Observer": "observer",
        "Terms": "observer",
        "Upstream": "upstream",
        "Verdict": "verdict",
        "accounts": "accounts",
        "check": "requirements",
        "every": "expect",
        "fail": "expect",
        "frozen": "outage",
        "load_requirements": "requirements",
        "meanwhile": "expect",
        "require_rows": "rows",
        "shortened": "expect",
        "upstream": "lab",
    },
)
__all__ = __dir__()
