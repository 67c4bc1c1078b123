"""What a learner's code sees and may do in the sandbox, as root grades and as an ordinary user does."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from sandboxed import ORDINARY, ordinary, worker

from underload import sandbox
from underload.course import CHECKOUT
from underload.sandbox import airlock, mounts, walls
from underload.sandbox.limits import Limits

SECRET = "hunter2-of-the-host"

pytestmark = pytest.mark.skipif(bool(sandbox.unavailable()), reason=sandbox.unavailable())


@pytest.fixture(scope="module", params=["as we are", "as an ordinary user"])
def inside(request):
    if request.param == "as we are":
        prefix = []
    elif os.geteuid() == 0:
        prefix = ordinary()
    else:
        pytest.skip("we are an ordinary user already")
    with worker(prefix, FAKE_SECRET=SECRET) as started:
        yield started


def refused(*attempts):
    """Return code that tries each expression and fails if one of them is allowed."""
    return f"""
import ctypes, os, signal, socket, subprocess, sys
from pathlib import Path
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)

for attempt in {attempts!r}:
    try:
        eval(attempt)
    except (OSError, subprocess.CalledProcessError):
        continue
    sys.exit(f"allowed: {{attempt}}")
"""


def test_only_the_environment_the_source_and_the_labs_are_there(inside):
    seen = json.loads(
        inside.probe(
            "import json, os, sys\n"
            "print(json.dumps([os.listdir('/'), os.listdir(sys.argv[1]), os.listdir('/etc'), os.listdir()]))",
            [CHECKOUT],
        )
    )
    environment = {Path(path).parts[1] for path in (sys.prefix, sys.base_prefix, CHECKOUT)}
    assert set(seen[0]) <= {"usr", "bin", "sbin", "etc", "proc", "dev", "tmp", "run", *environment} | {
        path.name for path in Path("/").glob("lib*")
    }
    assert {"src", "labs"} <= set(seen[1]) <= {"src", "labs", ".venv"}
    assert set(seen[2]) <= {
        "alternatives",
        "group",
        "hosts",
        "ld.so.cache",
        "localtime",
        "nsswitch.conf",
        "passwd",
    }
    assert seen[3] == []


def test_solutions_tests_history_and_the_host_cannot_be_read(inside):
    places = [
        CHECKOUT / name
        for name in ("solutions", "tests", ".git", ".underload", "notebooks", "pyproject.toml")
    ]
    places += [
        "/etc/shadow",
        "/home",
        "/var",
        "/mnt",
        Path.home() / ".bashrc",
        "/proc/1/root/etc/shadow",
        "/proc/1/cwd/x",
    ]
    inside.probe(refused(*(f"os.stat({str(place)!r})" for place in places)))


def test_a_checkout_within_the_system_is_hidden_too(tmp_path, monkeypatch):
    (tmp_path / "checkout/src").mkdir(parents=True)
    (tmp_path / "checkout/labs").mkdir()
    (tmp_path / "checkout/solutions").mkdir()
    script = shutil.copy(airlock.__file__, tmp_path / "checkout/src")  # runs before the code
    monkeypatch.setattr(airlock, "__file__", script)
    monkeypatch.setattr(mounts, "SYSTEM", (*mounts.SYSTEM, str(tmp_path)))
    monkeypatch.setattr(mounts, "CHECKOUT", tmp_path / "checkout")
    code = f"import os; print(*sorted(os.listdir({str(tmp_path / 'checkout')!r})))"
    place = sandbox.Sandbox()
    folder = tmp_path / "folder"
    folder.mkdir()
    done = subprocess.run(
        [*sandbox.outer(), *place.command(["-c", code], folder)], capture_output=True, text=True
    )
    assert done.stdout.split() == ["labs", "src"], done.stderr


def test_nothing_but_the_scratch_can_be_written_to(inside):
    places = ["/", "/etc", "/dev", "/usr", "/run", "/proc/sys/kernel", sys.prefix, sys.base_prefix, CHECKOUT]
    places += [CHECKOUT / "src", CHECKOUT / "labs", CHECKOUT / "src/underload/judge"]
    places += [CHECKOUT.parent] if CHECKOUT.parent != Path("/tmp") else []  # that is the scratch
    attempts = [f"Path({str(place)!r}, 'new').touch()" for place in places]
    attempts += [
        f"Path({str(CHECKOUT / 'src/underload/__init__.py')!r}).open('a')",
        "os.remove('/etc/passwd')",
    ]
    inside.probe(refused(*attempts))
    inside.probe("from pathlib import Path\nfor at in ('/tmp', '/dev/shm', '.'): Path(at, 'new').touch()")


def test_scratch_and_shared_memory_are_small(inside):
    code = """
import errno, sys
for folder, size in zip(("/tmp", "/dev/shm"), map(int, sys.argv[1:])):
    with open(f"{folder}/flood", "wb", buffering=0) as file:
        written = 0
        try:
            while written < 4 * size:
                written += file.write(bytes(100_000))
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
        assert written <= 1.1 * size, (folder, written)
"""
    inside.probe(code, [20_000_000, 5_000_000], limits={"scratch": 20_000_000, "shared": 5_000_000})


def test_there_is_no_way_out_to_a_network(inside):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.5)
        port = listener.getsockname()[1]
        inside.probe(
            refused(
                "socket.create_connection(('1.1.1.1', 53), 5)",
                "socket.create_connection(('2606:4700:4700::1111', 53), 5)",
                "socket.getaddrinfo('example.com', 80)",
                f"socket.create_connection(('127.0.0.1', {port}), 5)",
                "socket.socket(socket.AF_VSOCK)",
                "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
            )
        )
        with pytest.raises(TimeoutError):
            listener.accept()


def test_processes_share_a_loopback_with_the_worker(inside):
    inside.probe(
        "import socket\n"
        "with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "    socket.create_connection(('localhost', server.getsockname()[1]))"
    )


def test_no_process_outside_is_seen_or_reached(inside):
    seen = inside.probe(
        "import os; print(os.getpid(), *(name for name in os.listdir('/proc') if name.isdigit()))"
    )
    assert set(seen.split()) == {"1", "2"}
    inside.probe(refused(f"os.kill({os.getpid()}, 0)", "call('ptrace', 16, 3, 0, 0)", "os.setuid(0)"))
    kill = (
        "import os\nfor each in (9, 15, 2):\n  try: os.kill(1, each)\n  except OSError: pass\nprint('alive')"
    )
    assert inside.probe(kill) == "alive"


def test_who_grades_as_root_lets_each_job_run_as_somebody_else(inside):
    ours = os.geteuid() or (ORDINARY if "setpriv" in inside.process.args else walls.FIRST_USER + 3)
    assert inside.probe("import os; print(os.getuid())", job=3) == str(ours)


def test_rights_are_given_up_for_good(inside):
    inside.probe(
        refused(
            "call('mount', b'none', b'/tmp', b'tmpfs', 0, b'')",
            "call('umount2', b'/tmp', 0)",
            "call('unshare', 0x10000000)",
            "call('unshare', 0x20000)",
            "call('syscall', 56 if os.uname().machine == 'x86_64' else 220, 0x10000000 | 17, 0, 0, 0, 0)",
            "call('sethostname', b'x', 1)",
            "subprocess.run(['unshare', '--user', 'true'], check=True, stderr=-3)",
            "os.chroot('/tmp')",
            "os.mknod('/tmp/disk', 0o60666, os.makedev(8, 0))",
            "os.memfd_create('x')",
            "call('shmget', 0, 4096, 0o1600)",
        )
    )
    status = inside.probe("print(open('/proc/self/status').read())")
    found = dict(line.split(":", 1) for line in status.splitlines())
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == int(found["CapAmb"], 16) == 0
    assert (found["NoNewPrivs"].strip(), found["Seccomp"].strip()) == ("1", "2")
    assert "0" not in found["Uid"].split()


def test_secrets_of_the_host_are_nowhere_to_be_read(inside):
    said = inside.probe(
        "import glob, os\n"
        "for path in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline'):\n"
        "  try: print(open(path).read())\n"
        "  except OSError: pass\n"
        "print(dict(os.environ))\n"
    )
    assert "'HOME': '/tmp/home'" in said
    assert SECRET not in said
    assert inside.probe("import socket; print(socket.gethostname())") == "underload"


def test_no_open_file_is_inherited(inside):
    assert inside.probe("import os; print(*sorted(os.listdir('/proc/self/fd')))").split() == [
        "0",
        "1",
        "2",
        "3",
    ]


def test_limits_hold_for_every_process(inside):
    most = Limits(data=300_000_000, file=1_000_000, files=50, threads=30)
    code = """
import resource, threading
for each in ("DATA", "FSIZE", "NOFILE", "NPROC", "CPU", "CORE"):
    print(resource.getrlimit(getattr(resource, f"RLIMIT_{each}"))[0], end=" ")
print()
stop = threading.Event()
try:
    for _ in range(100):
        threading.Thread(target=stop.wait).start()
except RuntimeError as error:
    print(threading.active_count(), error)
stop.set()
try:
    bytes(400_000_000)
except MemoryError:
    print("MemoryError")
"""
    limits = {"data": most.data, "file": most.file, "files": most.files, "threads": most.threads}
    first, second, third = inside.probe(code, limits=limits).splitlines()
    assert first.split() == ["300000000", "1000000", "50", "30", "300", "0"]
    assert int(second.split()[0]) <= 30
    assert third == "MemoryError"


def test_a_service_with_many_threads_and_processes_is_within_the_limits(inside):
    inside.probe("""
import subprocess, sys, threading
from fastapi import FastAPI
stop = threading.Event()
threads = [threading.Thread(target=stop.wait) for _ in range(220)]
for each in threads: each.start()
children = [subprocess.Popen([sys.executable, "-c", "import uvicorn; input()"], stdin=-1) for _ in range(4)]
for each in children: each.communicate(b"\\n"); assert each.returncode == 0
stop.set()
""")


def test_the_environment_is_clean(inside):
    said = json.loads(inside.probe("import json, os; print(json.dumps(dict(os.environ)))"))
    assert set(said) - {"LC_CTYPE"} == {"HOME", "LANG", "PATH", "PYTHONDONTWRITEBYTECODE", "UNDERLOAD_HOME"}


def test_the_judges_socket_answers_and_cannot_be_replaced(inside):
    line = "os.environ['UNDERLOAD_JUDGE']"
    code = f"""
{refused(f"os.remove({line})", f"os.chmod({line}, 0)", f"os.rename({line}, '/tmp/x')")}
with socket.socket(socket.AF_UNIX) as line:
    line.connect({line})
    print(line.recv(10).decode(), os.listdir('/run/underload'))
"""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        Path(folder).chmod(0o711)  # not tmp_path, which is closed to the ordinary user
        path = Path(folder, "judge.sock")
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        judge = threading.Thread(target=lambda: listener.accept()[0].sendall(b"judge"))
        judge.start()
        assert inside.probe(code, judge=str(path)) == "judge ['judge.sock']"
        judge.join()


def test_links_to_another_environments_python_are_followed(tmp_path):
    """As uv makes them: the environment's Python leads through a linked directory to the actual one."""
    tmp_path.chmod(0o755)
    (tmp_path / "python-3").symlink_to(sys.base_prefix)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/python").symlink_to(tmp_path / "python-3/bin/python3")
    subprocess.run(
        [tmp_path / "python-3/bin/python3", "-m", "venv", "--without-pip", tmp_path / "venv"], check=True
    )
    (tmp_path / "venv/bin/python").unlink()
    (tmp_path / "venv/bin/python").symlink_to(tmp_path / "elsewhere/python")
    code = (
        "import sys, tempfile; from pathlib import Path; sys.path += sys.argv[2:]\n"
        "from underload import sandbox\n"
        "code = 'import os, sys; os.stat(sys.argv[1]); print(sys.prefix)'\n"
        "folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))\n"
        "command = sandbox.Sandbox().command(['-c', code, sys.argv[1]], folder)\n"
        "import os; os.execvp('bwrap', [*sandbox.outer(), *command])\n"
    )
    done = subprocess.run(
        [tmp_path / "venv/bin/python", "-c", code, tmp_path / "venv", *sys.path],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == str(tmp_path / "venv"), done.stderr


def test_without_walls_the_command_is_a_plain_one_with_a_home_of_its_own(tmp_path):
    place = sandbox.Sandbox(judge=Path("judge.sock"), isolated=False)
    code = "import os; print(os.getcwd(), *map(os.environ.get, ('HOME', 'UNDERLOAD_JUDGE', 'FAKE_SECRET')))"
    done = subprocess.run(
        place.command(["-c", code], tmp_path),
        cwd=tmp_path,
        env={**os.environ, "FAKE_SECRET": SECRET},
        capture_output=True,
        text=True,
    )
    home = str(tmp_path / "home")
    assert done.stdout.split() == [home, home, "judge.sock", "None"], done.stderr
