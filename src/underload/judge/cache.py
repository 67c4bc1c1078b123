"""What a check gets as ``cache``: the Valkey that a service uses, seen with an administrator's rights."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from underload import services
from underload.judge.expect import Failed, Observed, shortened
from underload.judge.outage import frozen, own_process
from underload.services import VALKEY, NotAnswering, embedded

PATIENCE = 5  # seconds for an answer
MOST_KEYS = 1_000_000
BATCH = 1_000
CONNECTING = {"auth", "hello", "ping", "select", "quit", "reset", "command"}  # and all of CLIENT
HITS, MISSES = "keyspace_hits", "keyspace_misses"


@dataclass
class CacheActivity:
    """What Valkey was asked while it was watched, known at the end of the watch."""

    counted: Counter[str] | None = None

    def calls(self, *names: str) -> Observed:
        """How many of these commands it carried out, such as ``calls("get", "mget")``; scripts' own count."""
        return Observed(self._sum(names), f"{' and '.join(names).upper()} commands", "commands")

    @property
    def commands(self) -> Observed:
        """How many commands it carried out, but for those that set up a connection."""
        counted = set() if self.counted is None else {_family(each) for each in self.counted}
        names = counted - CONNECTING - {"client", HITS, MISSES}
        return Observed(self._sum(names), "Valkey commands", "commands")

    @property
    def hits(self) -> Observed:
        """How many look-ups found a key."""
        return Observed(self._sum([HITS]), "cache hits")

    @property
    def misses(self) -> Observed:
        """How many look-ups found none."""
        return Observed(self._sum([MISSES]), "cache misses")

    @property
    def hit_rate(self) -> Observed:
        """The share of look-ups that found a key, from 0 to 1."""
        lookups = self._sum([HITS, MISSES])
        return Observed(self._sum([HITS]) / lookups if lookups else float("nan"), "hit rate")

    def _sum(self, names: Any) -> float:
        if self.counted is None:
            return float("nan")
        wanted = {name.lower() for name in names}
        return sum(count for name, count in self.counted.items() if wanted & {name, _family(name)})


class Cache:
    """The Valkey behind the URL with which a service uses it.

    Every call ends in some 10 s, whatever the service did.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = redis.Redis.from_url(
            services.behind(VALKEY, url),
            decode_responses=True,
            encoding_errors="backslashreplace",
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 1),
        )
        self._own: Counter[str] = Counter()  # what the judge's commands added to the server's counters
        self._before_restart: Counter[str] = Counter()

    def ask(self, *command: Any) -> Any:
        """Return what one command does, such as ``ask("XLEN", "jobs")``; it does not count in a watch."""
        return self._ask([command])[0]

    def keys(self, pattern: str = "*") -> list[str]:
        """Return the keys that match a pattern, in order."""
        found: set[str] = set()
        cursor = "0"
        while len(found) < MOST_KEYS:
            cursor, batch = self.ask("SCAN", cursor, "MATCH", pattern, "COUNT", BATCH)
            found |= set(batch)
            if int(cursor) == 0:
                break
        return sorted(found)

    def ttls(self, pattern: str = "*") -> dict[str, float | None]:
        """Return in how many seconds each key that matches expires, None for one that never does."""
        keys = self.keys(pattern)
        left = {}
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            left |= dict(zip(batch, self._ask([("PTTL", key) for key in batch]), strict=True))
        return {
            key: None if ms == -1 else ms / 1000 for key, ms in left.items() if ms != -2
        }  # -2: it has gone

    def flush(self) -> None:
        """Delete every key."""
        self.ask("FLUSHDB")

    @property
    def memory(self) -> Observed:
        """Memory that Valkey uses, in MB."""
        return Observed(self.ask("INFO", "memory")["used_memory"] / 1e6, "memory of Valkey", "MB")

    @contextmanager
    def watch(self) -> Iterator[CacheActivity]:
        """Count commands, hits and misses meanwhile. The judge's never count."""
        seen = CacheActivity()
        before = self._counters()
        yield seen
        after = self._counters()
        after.subtract(before)
        if min(after.values(), default=0) >= 0:  # or they were reset, and nothing is known
            seen.counted = after

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop Valkey where it is. It accepts connections and answers nothing."""
        with frozen([own_process(VALKEY, self._url)]):
            yield

    @contextmanager
    def down(self) -> Iterator[None]:
        """Kill Valkey, and start it again at the end, empty, on the same port and with the same users."""
        own_process(VALKEY, self._url)
        before = self._counters()
        with embedded.down(VALKEY):
            self._own.clear()
            self._before_restart = before
            yield

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    def _counters(self) -> Counter[str]:
        """Return how often others than the judge had each command carried out, with the hits and misses."""
        counters = Counter(self._before_restart)
        with _explained():
            counters.update(_counted(self._client.info("commandstats", "stats")))
        counters.subtract(self._own)
        self._own["info"] += 1  # this one, which its own answer does not know of
        return counters

    def _ask(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Carry out commands in one step, so that what they add to the counters is known exactly."""
        with _explained(), self._client.pipeline(transaction=True) as together:
            together.info("commandstats", "stats")
            for command in commands:
                together.execute_command(*command)
            together.info("commandstats", "stats")
            before, *answers, after = together.execute(raise_on_error=False)
            added = _counted(after)
            added.subtract(_counted(before))
            self._own.update(added)
            self._own.update(["multi", "info", "exec"])  # what the last answer does not know of
            if failed := next((each for each in answers if isinstance(each, redis.RedisError)), None):
                raise failed
        return answers


def _counted(info: dict[str, Any]) -> Counter[str]:
    calls = {name[8:]: each["calls"] for name, each in info.items() if name.startswith("cmdstat_")}
    return Counter({**calls, HITS: info[HITS], MISSES: info[MISSES]})


def _family(command: str) -> str:
    return command.partition("|")[0]


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise Failed("an answer from Valkey", shortened(str(NotAnswering.because(error)))) from None
