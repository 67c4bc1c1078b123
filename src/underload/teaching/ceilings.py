"""What this machine can do at most, measured in lesson 00 and drawn as a limit in later figures."""

import json

from underload.files import write_whole
from underload.services import state


def keep(name: str, throughput: float) -> None:
    """Remember ``throughput`` (requests a second) as this machine's ceiling called ``name``."""
    with state.explained():
        write_whole(state.make_home() / "ceilings.json", json.dumps(read() | {name: throughput}))


def read() -> dict[str, float]:
    """Return the ceilings measured so far on this machine, in requests a second, by name."""
    try:
        return json.loads((state.home() / "ceilings.json").read_text())
    except (OSError, ValueError):
        return {}
