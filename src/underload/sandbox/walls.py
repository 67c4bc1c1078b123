"""Where a learner's code runs when it is graded: an environment to read, some scratch, a private loopback.

Two walls of bubblewrap. The outer one holds a job: its worker, judge, servers and sandboxes share a loopback
that nothing else reaches, and end together. The inner one holds the kernel of a notebook, as a kernelspec.
"""

import json
import os
import platform
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from underload.channel import SOCKET
from underload.sandbox import airlock, mounts, seccomp
from underload.sandbox.limits import Limits

FIRST_USER = 64001  # numbers that belong to no account, one per job
CONNECTION, JUDGE = "/run/underload/connection.json", "/run/underload/judge.sock"
# A third of a kernel's start is its debugger, which is not needed here.
LAUNCH = "import sys; sys.modules['debugpy'] = None; from ipykernel.kernelapp import main; main()"
KERNEL_NAME = "underload-sandbox"
KERNEL = ["-c", LAUNCH, "-f", "{}", "--HistoryManager.enabled=False"]


def outer() -> list[str]:
    """Return what to put before the command of a job's worker, so that it has a loopback of its own.

    All else is as on the host. What the worker starts ends with it; it ends with the thread that started it.
    """
    rights = ["--cap-add", "ALL"] if os.geteuid() == 0 else ["--unshare-user"]
    spaces = ["--unshare-net", "--unshare-pid", "--unshare-ipc"]
    return [_bwrap(), *rights, *spaces, "--die-with-parent", "--dev-bind", "/", "/", "--proc", "/proc", "--"]


@dataclass(frozen=True)
class Sandbox:
    """A place for the code of one notebook after the other.

    Attributes:
        limits: what a notebook may use.
        judge: the judge's Unix socket, at which UNDERLOAD_JUDGE will point. Its directory must be closed to
            others; the socket itself must be open to all (mode 0o666), since the learner is another user.
        job: the number of this sandbox among those that run side by side.
        isolated: whether to build walls at all. Without, nothing but most of the limits holds.
    """

    limits: Limits = field(default_factory=Limits)
    judge: Path | None = None
    job: int = 0
    isolated: bool = True

    def write_kernelspec(self, data: Path) -> str:
        """Write ``kernels/NAME/kernel.json`` into a Jupyter data directory, and return the name."""
        path = data / "kernels" / KERNEL_NAME / "kernel.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        spec = {
            "argv": self.command(KERNEL, path.parent, "{connection_file}"),
            "display_name": "Python 3 (sandbox)",
            "language": "python",
            "interrupt_mode": "message",  # a signal would reach bubblewrap, not the kernel
        }
        path.write_text(json.dumps(spec))
        return KERNEL_NAME

    def command(self, arguments: list[str], folder: Path, connection: str = "") -> list[str]:
        """Return the command that runs Python with these arguments in here.

        Args:
            arguments: ``{}`` stands for the path of the connection file inside.
            folder: an existing directory, for the sandbox's own small files.
            connection: the kernel's connection file outside; with it, what the command prints goes nowhere.
        """
        settings = {
            "user": self._user if self.isolated and os.geteuid() == 0 else None,
            "home": mounts.HOME if self.isolated else "home",
            "connection": connection and (CONNECTION if self.isolated else connection),
            "quiet": bool(connection),
            "filter": seccomp.program(platform.machine()).hex() if self.isolated else "",
            "limits": self._limits(),
            "environment": self._environment(),
        }
        python = str(Path(sys.prefix, "bin", Path(sys.executable).name))
        inside = [python, "-I", "-S", airlock.__file__, json.dumps(settings), python, *arguments]
        return [*self._walls(folder, connection), *inside] if self.isolated else inside

    @property
    def _user(self) -> int:
        return FIRST_USER + self.job if os.geteuid() == 0 else os.geteuid()

    def _walls(self, folder: Path, connection: str) -> list[str]:
        shared = {CONNECTION: connection, JUDGE: self.judge}
        return [
            # Those inside can read with what environment the first process in there began.
            *("/usr/bin/env", "-i", _bwrap(), "--die-with-parent", "--hostname", "underload"),
            *("--unshare-pid", "--unshare-ipc", "--unshare-uts"),
            # No limit on processes holds root, not even in a user namespace: it becomes another user instead.
            *(() if os.geteuid() == 0 else ("--unshare-user",)),
            *mounts.everything(folder, self._user, self.limits),
            *(word for place, source in shared.items() if source for word in mounts.at(source, place)),
            *("--remount-ro", "/", "--"),
        ]

    def _limits(self) -> dict[str, tuple[int, int]]:
        """Return the limits that a process carries: where it is warned or refused, and where it is killed."""
        most = self.limits
        kept = {"DATA": most.data, "FSIZE": most.file, "NOFILE": most.files, "CORE": 0}
        if self.isolated and (os.geteuid() == 0 or _counts_by_namespace()):
            kept["NPROC"] = most.threads
        both = {what: (number, number) for what, number in kept.items()}
        return {**both, "CPU": (most.cpu_seconds, most.cpu_seconds + 5)}

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join((f"{sys.prefix}/bin", "/usr/local/bin", "/usr/bin", "/bin"))
        seen = {"PATH": path, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        if self.judge:
            seen[SOCKET] = JUDGE if self.isolated else str(self.judge)
        return seen


def _bwrap() -> str:
    return shutil.which("bwrap") or "bwrap"


def _counts_by_namespace() -> bool:
    """Tell whether Linux counts a user's processes in each namespace (since 5.14), or all on the machine."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor.partition("-")[0])) >= (5, 14)
