"""Whether sandboxes work on this machine, found out by making one; and if not, what to do about it."""

import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from underload.sandbox import seccomp
from underload.sandbox.walls import Sandbox, outer

SECONDS = 30
SETTINGS = Path("/proc/sys")
ALLOWING = {  # settings that keep ordinary users from namespaces: the value that does, and one that does not
    "user.max_user_namespaces": ("0", "10000"),
    "kernel.unprivileged_userns_clone": ("0", "1"),  # Debian's
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),  # Ubuntu's
}
IN_CONTAINERS = (Path("/.dockerenv"), Path("/run/.containerenv"))  # Docker's file, Podman's
BY_HAND = "run `bwrap --unshare-user --unshare-net --dev-bind / / true` and mend what it says"


@cache
def unavailable() -> str:
    """Return why there is no sandbox and what to do, as part of a sentence; nothing if one just worked."""
    if platform.system() != "Linux":
        return "bubblewrap runs on Linux only: grade there, or in a virtual machine"
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed: install the package bubblewrap"
    if (machine := platform.machine()) not in seccomp.MACHINES:
        return f"the system calls of {machine} are not known: grade on {' or '.join(seccomp.MACHINES)}"
    said = _failure()
    return f"bubblewrap is installed but does not work ({said}): {_remedy()}" if said else ""


def _failure() -> str:
    """Make a sandbox, and return the last line that was said if this failed."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Sandbox().command(["-c", "pass"], Path(folder))
        try:
            done = subprocess.run(  # noqa: S603
                [*outer(), *trial],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
        except subprocess.TimeoutExpired:
            return f"a sandbox did not start within {SECONDS} s"
    said = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
    return said[-1].rstrip(".") if done.returncode else ""


def _remedy() -> str:
    for name, (forbids, allows) in ALLOWING.items() if os.geteuid() else ():
        setting = SETTINGS / name.replace(".", "/")
        if setting.exists() and setting.read_text().strip() == forbids:
            return f"allow namespaces to ordinary users with `sudo sysctl -w {name}={allows}`"
    if any(file.exists() for file in IN_CONTAINERS):
        return "start this container with --privileged, or grade outside of it"
    return BY_HAND
