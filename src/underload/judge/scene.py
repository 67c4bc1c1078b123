"""What a check observes: the service and what it stands on, each made when a check first names it."""

from typing import Any

from underload.judge.check import Requirements
from underload.judge.service import Service


class Scene:
    """The learner's service at ``url`` and, by the names that checks use, all that surrounds it."""

    def __init__(self, requirements: Requirements, url: str, database: str | None) -> None:
        self.requirements = requirements
        self.url = url
        self.database = database
        self._parts: dict[str, Any] = {}

    def part(self, name: str) -> Any:
        """Return what a check's parameter of this name stands for."""
        if name not in self._parts:
            self._parts[name] = self._make(name)
        return self._parts[name]

    def _make(self, name: str) -> Any:
        if name == "service":
            return Service(self.url)
        return self.requirements.upstreams[name]

    def close(self) -> None:
        for part in self._parts.values():
            if hasattr(part, "close"):
                part.close()
