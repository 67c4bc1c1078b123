"""What a check observes: the service and what it stands on, each made when a check first names it."""

from typing import Any

from underload.errors import UnderloadError
from underload.judge.cache import Cache
from underload.judge.database import Database
from underload.judge.requirements import Requirements
from underload.judge.service import Service


class Scene:
    """The learner's service at ``url`` and, by the names that checks use, all that surrounds it.

    Args:
        requirements: of the lab.
        url: where the service answers.
        database: the DSN of the database that was handed to the learner, if any was.
    """

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
        if name == "db":
            if not self.database:
                raise UnderloadError("The lab needs a database. Run the cell with flights() before Lab(…).")
            return Database(self.database)
        return Cache() if name == "cache" else self.requirements.upstreams[name]

    def move(self, database: str) -> None:
        """Go on with another database, which has been handed out in place of the one before."""
        self.database = database
        if before := self._parts.pop("db", None):
            before.close()

    def close(self) -> None:
        """Let go of all that was observed. Upstreams stay: the next service calls them too."""
        for name in self._parts.keys() - self.requirements.upstreams.keys():
            self._parts[name].close()
