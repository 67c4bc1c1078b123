import time

import psutil
import pytest
from typer.testing import CliRunner

from underload import cli, doctor, noise, services
from underload.doctor import Finding, examine
from underload.noise import Noise
from underload.services.proxy import Caddy

SECRET = "hunter2"


@pytest.fixture(scope="module")
def findings():
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


def test_takes_about_two_seconds():
    began = time.perf_counter()
    list(examine())
    assert time.perf_counter() - began < 3


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
    assert finding.serious and "127.0.0.1:1" in finding.found
    assert not [each for each in examine() if SECRET in each.found + each.advice]


def test_own_server_that_is_too_old_is_serious(monkeypatch, silence):
    old = services.Status("PostgreSQL", "127.0.0.1:1", True, "9.6.24", None, False)
    monkeypatch.setattr(services, "status", lambda: [old])
    finding = found("PostgreSQL")
    assert finding.serious and "9.6.24" in finding.found and "unset DATABASE_URL" in finding.advice


def test_url_that_is_none_is_serious_and_not_quoted(monkeypatch, silence):
    monkeypatch.setenv("REDIS_URL", f"http://me:{SECRET}@nowhere")
    finding = found("services")
    assert finding.serious and "REDIS_URL" in finding.advice and SECRET not in finding.advice


def test_own_server_that_does_not_answer_costs_a_second(monkeypatch, silence):
    monkeypatch.setattr(services, "status", lambda: time.sleep(30))
    began = time.perf_counter()
    assert found("services").serious
    assert time.perf_counter() - began < 2


def test_program_that_is_not_installed_is_serious(monkeypatch, silence, tmp_path):
    monkeypatch.setattr(Caddy, "program", lambda _: tmp_path / "caddy")
    monkeypatch.setenv("UNDERLOAD_HOME", str(tmp_path))
    assert found("Caddy").serious


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
