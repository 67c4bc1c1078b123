import threading
import time

import pytest
import redis
from kernels import elsewhere, new_home
from redis.backoff import NoBackoff
from redis.retry import Retry

from underload import services
from underload.errors import UnderloadError
from underload.judge.cache import Cache
from underload.judge.expect import Failed
from underload.services import VALKEY, embedded


@pytest.fixture(scope="module")
def home():
    with new_home() as directory:
        yield directory


@pytest.fixture
def cache(home):
    judge = Cache(services.valkey())
    judge.flush()
    yield judge
    judge.close()


@pytest.fixture
def client(home):
    url = services.valkey()  # which looks into the server, so not during a test

    def connected(**options):
        return redis.Redis.from_url(url, decode_responses=True, retry=Retry(NoBackoff(), 0), **options)

    return connected


@pytest.fixture
def service(client):
    with client() as connected:
        yield connected


def test_commands_hits_and_misses(cache, service):
    service.set("a", 1)
    with cache.watch() as seen:
        for _ in range(3):
            service.get("a")
        service.get("b")
        service.mget("a", "c")
        service.xadd("jobs", {"x": 1})
        service.xgroup_create("jobs", "workers")
    assert seen.calls("get").value == 4
    assert seen.calls("GET", "MGET").value == 5
    assert seen.calls("set").value == 0
    assert seen.calls("xgroup").value == seen.calls("xgroup|create").value == 1
    assert seen.commands.value == 7
    assert (seen.hits.value, seen.misses.value) == (4, 2)
    assert seen.hit_rate.value == pytest.approx(4 / 6)


def test_the_judge_does_not_count(cache, service):
    service.set("a", 1, ex=100)
    service.set("b", 1)
    with cache.watch() as seen:
        assert cache.keys() == ["a", "b"]
        assert cache.ttls("a").keys() == {"a"}
        assert cache.ask("GET", "a") == "1"
        assert cache.ask("EVAL", "return redis.call('get', 'none')", 0) is None
        assert cache.memory.value > 0
        with pytest.raises(Failed, match="WRONGTYPE"):
            cache.ask("LPUSH", "a", "x")
        cache.close()
        cache.flush()
    assert seen.commands.value == seen.hits.value == seen.misses.value == 0
    with pytest.raises(Failed, match="nothing measured"):
        seen.hit_rate.at_least(0)


def test_connecting_does_not_count_and_scripts_do(cache, client):
    with cache.watch() as seen:
        for _ in range(5):
            with client() as connected:
                connected.ping()
                connected.eval("redis.call('incr', 'n'); return redis.call('get', 'n')", 0)
    assert seen.commands.value == 5 * 3
    assert seen.calls("get").value == 5


def test_many_clients_at_once_are_counted_exactly(cache, client):
    def work():
        with client() as connected:
            for number in range(200):
                connected.get(str(number))

    threads = [threading.Thread(target=work) for _ in range(5)]
    with cache.watch() as seen:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            cache.ttls()
    assert seen.calls("get").value == seen.misses.value == seen.commands.value == 1000


def test_keys_and_when_they_expire(cache, service):
    service.mset({f"flight:{number}": 1 for number in range(2_500)})
    service.set("airport:JFK", 1, px=90_500)
    service.set(b"\xff", 1)
    assert len(cache.keys("flight:*")) == 2_500
    assert cache.keys("[^fa]*") == ["\\xff"]
    assert cache.ttls("airport:*")["airport:JFK"] == pytest.approx(90.5, abs=5)
    assert set(cache.ttls("flight:*").values()) == {None}
    cache.flush()
    assert cache.keys() == []


def test_counters_that_were_reset_tell_nothing(cache, service):
    service.get("a")
    with cache.watch() as seen:
        service.config_resetstat()
    for nothing in (seen.commands, seen.hits, seen.calls("get")):
        with pytest.raises(Failed, match="nothing measured"):
            nothing.at_most(10)


def test_nothing_is_known_before_the_end_of_the_watch(cache):
    with cache.watch() as seen, pytest.raises(Failed, match="nothing measured"):
        seen.commands.at_most(10)
    seen.commands.equals(0)


def test_paused_and_resumed(cache, client, service):
    service.set("a", 1)
    with cache.watch() as seen:
        impatient = client(socket_timeout=0.2)
        with cache.paused(), pytest.raises(redis.TimeoutError):
            impatient.get("b")
        impatient.close()
        assert service.get("a") == "1"
    assert seen.calls("get").value in (1, 2)  # what was asked meanwhile may be answered to nobody
    with pytest.raises(ZeroDivisionError), cache.paused():
        raise ZeroDivisionError
    assert service.get("a") == "1"


def test_killed_and_up_again_on_the_same_port(cache, client, service):
    url = services.valkey()
    service.set("a", 1)
    with cache.watch() as seen:
        service.get("a")
        with cache.down(), client() as connected, pytest.raises(redis.ConnectionError):
            connected.get("a")
        with client() as connected:
            assert connected.get("a") is None
        assert cache.keys() == []
    assert services.valkey() == url
    assert seen.calls("get").value == 2
    assert (seen.hits.value, seen.misses.value) == (1, 1)
    with pytest.raises(ZeroDivisionError), cache.down():
        raise ZeroDivisionError
    assert cache.keys() == []


def test_endless_script_does_not_hang_the_judge(cache, service, monkeypatch):
    monkeypatch.setattr("underload.judge.cache.PATIENCE", 0.2)
    impatient = Cache(services.valkey())

    def block():
        with pytest.raises(redis.RedisError):
            service.eval("while 1 do end", 0)

    busy = threading.Thread(target=block)
    busy.start()
    started = time.monotonic()
    with pytest.raises(Failed, match=r"(?i)timeout|busy"):
        while True:
            impatient.keys()
    for refused in (impatient.watch, impatient.down):
        with pytest.raises(Failed), refused():
            pass
    assert time.monotonic() - started < 5
    impatient.close()
    with embedded.down(VALKEY):
        busy.join()
    assert cache.keys() == []


def test_server_of_ones_own_is_observed_and_the_courses_disturbed(home, monkeypatch):
    with elsewhere(services.valkey) as url:
        monkeypatch.setenv("REDIS_URL", url)
        assert services.valkey() == services.latest_valkey() == url
        own, ours = Cache(url), Cache(services.valkey(lab=True))
        assert services.latest_valkey() != url
        with own.watch() as seen, ours.watch() as none, redis.Redis.from_url(url) as service:
            service.get("a")
        assert (seen.commands.value, none.commands.value) == (1, 0)
        for disturbance in (own.paused, own.down):
            with pytest.raises(UnderloadError, match=r"write .*valkey\(lab=True\)"), disturbance():
                pass
        for disturbance in (ours.paused, ours.down):
            with disturbance():
                pass
        own.close()
        ours.close()
