"""This machine's own address, which no proxy leads to."""

import os

HOSTS = ("127.0.0.1", "localhost", "::1")


def bypass_proxies() -> None:
    """Let HTTP clients of this process, and of those it starts, reach this machine without a proxy.

    What the variables name already stays. Some clients read one spelling, some the other.
    """
    named = [
        host.strip() for name in ("NO_PROXY", "no_proxy") for host in os.environ.get(name, "").split(",")
    ]
    if "*" not in named:  # every host, but for some clients only where it stands alone
        hosts = filter(None, dict.fromkeys([*named, *HOSTS]))
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(hosts)
