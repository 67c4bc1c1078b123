"""What a check observes: the service and what it stands on, each made when a check first names it."""

from typing import Any

from underload.errors import UnderloadError
from underload.judge.cache import Cache
from underload.judge.database import Database
from underload.judge.requirements import Requirements
from underload.judge.service import Service
from underload.services import POSTGRES, VALKEY

# What observes a backing service, by the name that checks use.
BACKING = {"db": (Database, POSTGRES), "cache": (Cache, VALKEY)}


class Scene:
    """The learner's service at ``url`` and, by the names that checks use, all that surrounds it.

    Args:
        requirements: of the lab.
        url: where the service answers.
        handed: the URLs of the backing services that were handed to the learner, by the keys of `BACKING`.
    """

    def __init__(self, requirements: Requirements, url: str, handed: dict[str, str | None]) -> None:
        self.requirements = requirements
        self.url = url
        self.handed = dict(handed)
        self._parts: dict[str, Any] = {}

    def part(self, name: str) -> Any:
        """Return what a check's parameter of this name stands for."""
        if name not in self._parts:
            self._parts[name] = self._make(name)
        return self._parts[name]

    def _make(self, name: str) -> Any:
        if name == "service":
            return Service(self.url)
        if name not in BACKING:
            return self.requirements.upstreams[name]
        observer, service = BACKING[name]
        if url := self.handed.get(name):
            return observer(url)
        raise UnderloadError(
            f"This lab needs {service.title}: run the cell with {service.handed_by}() before Lab(…)."
        )

    def hand(self, name: str, url: str) -> None:
        """Go on with another database or Valkey, which has been handed out in place of the one before."""
        self.handed[name] = url
        if before := self._parts.pop(name, None):
            before.close()

    def close(self) -> None:
        """Disconnect from all that was observed. Upstreams stay: the next service calls them too."""
        for name in self._parts.keys() - self.requirements.upstreams.keys():
            self._parts[name].close()
