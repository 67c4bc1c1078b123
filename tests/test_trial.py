"""Where sandboxes do not work, it is said why, and what to do about it on this machine."""

import os

import pytest

from underload.sandbox import trial


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return what makes a machine: its settings by name, who grades there, and what its bubblewrap says."""
    monkeypatch.setattr(trial, "SETTINGS", tmp_path / "sys")
    monkeypatch.setattr(trial, "IN_CONTAINERS", (tmp_path / "container",))
    monkeypatch.setattr("platform.system", lambda: "Linux")

    def make(says, user=1000, container=False, **settings):
        for name, value in settings.items():
            path = tmp_path / "sys" / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")
        if container:
            (tmp_path / "container").touch()
        bwrap = tmp_path / "bwrap"
        bwrap.write_text(f"#!/bin/sh\necho 'bwrap: {says}' >&2; exit 1\n")
        bwrap.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        monkeypatch.setattr("os.geteuid", lambda: user)
        return trial.unavailable.__wrapped__()

    return make


def test_bubblewrap_is_to_be_installed_only_where_it_is_not(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setenv("PATH", "")
    said = trial.unavailable.__wrapped__()
    assert said == "bubblewrap is not installed: install the package bubblewrap"


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("user__max_user_namespaces", 0, "user.max_user_namespaces=10000"),
        ("kernel__unprivileged_userns_clone", 0, "kernel.unprivileged_userns_clone=1"),
        (
            "kernel__apparmor_restrict_unprivileged_userns",
            1,
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ],
)
def test_one_that_does_not_work_is_told_the_setting_that_forbids_it(machine, setting, value, allowed):
    said = machine("setting up uid map: Permission denied", **{setting: value})
    assert said == (
        "bubblewrap is installed but does not work (bwrap: setting up uid map: Permission denied): "
        f"allow namespaces to ordinary users with `sudo sysctl -w {allowed}`"
    )


def test_root_and_a_machine_that_allows_them_are_told_something_else(machine):
    said = machine("No way", user=0, kernel__unprivileged_userns_clone=0)
    assert said.endswith(trial.BY_HAND)
    assert machine("No way", kernel__unprivileged_userns_clone=1).endswith(trial.BY_HAND)


def test_in_a_container_that_is_told(machine):
    said = machine("Creating new namespace failed: Operation not permitted", user=0, container=True)
    assert "--privileged" in said and "Operation not permitted" in said


def test_other_systems_and_other_processors_are_named(machine, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert machine("") == "the system calls of riscv64 are not known: grade on x86_64 or aarch64"
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert machine("").startswith("bubblewrap runs on Linux only: grade there")
