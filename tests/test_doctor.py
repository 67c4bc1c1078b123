import os
import signal
import time

import psutil
import pytest
from kernels import new_home, servers
from typer.testing import CliRunner

from underload import cli, doctor, noise, services
from underload.doctor import Finding, examine
from underload.noise import Noise
from underload.services.cache import Valkey
from underload.services.proxy import Caddy

SECRET = "hunter2"
SERVICES = ("PostgreSQL", "Valkey", "Caddy")


@pytest.fixture(scope="module", autouse=True)
def home():
    with new_home() as directory:
        yield directory


@pytest.fixture(scope="module")
def findings(home):
    return list(examine())


@pytest.fixture
def silence(monkeypatch):
    monkeypatch.setattr(noise, "listen", lambda: Noise(others=0.0, stolen=0.0, late_ms=0.1, slowdown=0.01))


def found(what):
    return next(finding for finding in examine() if finding.what == what)


def test_everything_is_examined(findings):
    expected = {"system", "processor cores", "memory", "open files", "packages", "disk"}
    expected |= {"PostgreSQL", "Valkey", "Caddy", "other programs", "host", "timer", "processor speed"}
    assert expected <= {finding.what for finding in findings}
    assert not [finding for finding in findings if finding.found == "unknown"]


def test_advice_is_one_sentence(findings):
    for finding in findings:
        assert finding.mark == "✔" or finding.advice.endswith(".")
        assert ". " not in finding.advice


def test_mark_tells_fine_from_odd_from_serious():
    assert [Finding("", "").mark, Finding("", "", "Look.").mark, Finding("", "", "Stop.", True).mark] == [
        *"✔!✘"
    ]


def test_takes_a_few_seconds(findings):
    began = time.perf_counter()
    list(examine())
    assert time.perf_counter() - began < 5


# Servers


def test_each_server_is_started_asked_and_stopped_again(findings, home):
    words = {finding.what: finding for finding in findings if finding.what in SERVICES}
    assert {what: finding.mark for what, finding in words.items()} == dict.fromkeys(SERVICES, "✔")
    assert words["PostgreSQL"].found.startswith("18.") and words["Valkey"].found.startswith("9.")
    assert not servers(home)


def test_servers_that_run_are_left_running(home, silence):
    services.valkey()
    before = servers(home)
    assert found("Valkey").mark == "✔"
    assert servers(home) == before
    services.stop()


def test_a_server_that_is_there_and_does_not_start_is_serious(home, silence):
    services.postgres()
    services.stop()
    settings = home / "postgres/data/postgresql.conf"
    before = settings.read_text()
    settings.write_text("max_connections = 'many'\n")
    finding = found("PostgreSQL")
    settings.write_text(before)
    assert finding.serious and "FATAL" in finding.advice
    assert found("PostgreSQL").mark == "✔"
    assert not servers(home)


def test_a_server_that_hangs_is_serious_and_keeps_nobody_waiting(home, silence, monkeypatch):
    monkeypatch.setattr("underload.services.embedded.START_SECONDS", 0.5)
    monkeypatch.setattr("underload.services.cache.PROBE_SECONDS", 0.3)
    services.valkey()
    [valkey] = servers(home)
    os.kill(valkey.pid, signal.SIGSTOP)
    finding = found("Valkey")
    os.kill(valkey.pid, signal.SIGCONT)
    assert finding.serious and "does not answer" in finding.advice
    services.stop()


# What goes wrong


def test_one_failed_examination_hides_no_other(monkeypatch, silence):
    def broken():
        raise OSError("no such thing")

    monkeypatch.setattr(psutil, "virtual_memory", broken)
    findings = {finding.what: finding for finding in examine()}
    assert findings["memory"].found == "unknown"
    assert "no such thing" in findings["memory"].advice
    assert "processor speed" in findings


def test_low_limit_of_open_files_says_for_how_many_users(monkeypatch, silence):
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 500))
    assert "300 users" in found("open files").advice


def test_no_limit_of_open_files_is_fine(monkeypatch, silence):
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    assert found("open files").mark == "✔"


def test_one_core_gets_advice(monkeypatch, silence):
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert found("processor cores").mark == "!"


def test_package_of_another_version(monkeypatch, silence):
    monkeypatch.setattr(doctor, "requires", lambda _: ["rich==1.0", "nosuchpackage[all]==2.0; extra == 'x'"])
    assert "1.0" in found("rich").advice
    assert found("nosuchpackage").serious


def test_own_server_that_is_down_is_serious_and_keeps_its_password(monkeypatch, silence):
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{SECRET}@127.0.0.1:1/db")
    finding = found("PostgreSQL")
    assert finding.serious and "127.0.0.1:1" in finding.advice
    assert not [each for each in examine() if SECRET in each.found + each.advice]


@pytest.fixture
def own_valkey(monkeypatch):
    """Where a server of the reader's own is: in another home than the course's."""
    with new_home() as elsewhere:
        url = services.valkey()
        running = servers(elsewhere)
        with new_home() as home:
            monkeypatch.setenv("REDIS_URL", url)
            yield url.rpartition("@")[2].removesuffix("/0")
            assert not servers(home)
        assert servers(elsewhere) == running != []


def test_own_server_says_where_it_answers_and_is_not_stopped(own_valkey, silence):
    own, beside = found("Valkey").found.split("; ")
    assert own.endswith(f" answers at {own_valkey}")
    assert beside.startswith("beside it, for labs, 9.")


def test_own_server_that_is_too_old_is_serious(own_valkey, silence, monkeypatch):
    monkeypatch.setattr(Valkey, "least", 10)
    finding = found("Valkey")
    assert finding.serious and own_valkey in finding.advice and "unset REDIS_URL" in finding.advice


def test_url_that_is_none_is_serious_and_not_quoted(monkeypatch, silence):
    monkeypatch.setenv("REDIS_URL", f"http://me:{SECRET}@nowhere")
    finding = found("Valkey")
    assert finding.serious and "REDIS_URL" in finding.advice and SECRET not in finding.advice
    assert found("PostgreSQL").mark == "✔"


def test_program_that_is_not_installed_is_serious(monkeypatch, silence, tmp_path):
    monkeypatch.setattr(Caddy, "program", lambda _: tmp_path / "caddy")
    finding = found("Caddy")
    assert finding.serious and "not installed" in finding.advice


def test_noise_gets_advice(monkeypatch):
    monkeypatch.setattr(noise, "listen", lambda: Noise(others=0.5, stolen=0.1, late_ms=5.0, slowdown=0.4))
    marks = {finding.what: finding.mark for finding in examine()}
    assert {marks[what] for what in ("other programs", "host", "timer", "processor speed")} == {"!"}


def test_noise_is_measured_in_half_a_second():
    began = time.perf_counter()
    now = noise.listen()
    assert 0.4 < time.perf_counter() - began < 1.5
    assert 0 <= now.others <= 1 and 0 <= now.stolen <= 1 and now.late_ms > 0 and now.slowdown >= 0


@pytest.mark.parametrize(
    ("advice", "serious", "code"), [("", False, 0), ("Look.", False, 0), ("Stop.", True, 1)]
)
def test_command_fails_when_something_is_serious(monkeypatch, advice, serious, code):
    monkeypatch.setattr(doctor, "examine", lambda: iter([Finding("disk", "small", advice, serious)]))
    result = CliRunner().invoke(cli.app, ["doctor"])
    assert result.exit_code == code
    assert "small" in result.output
