"""The stop button and the death of a real notebook kernel in the middle of a load."""

import psutil
import pytest
from conftest import all_gone
from jupyter_client.manager import start_new_kernel

LOAD = """
from fastapi import FastAPI
from underload import load, serve
app = FastAPI()

@app.get("/")
async def answer():
    return "ok"

server = serve(app)
load(server.url, users=5, seconds=60)
"""


@pytest.fixture
def kernel():
    manager, client = start_new_kernel(kernel_name="python3")
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def under_load(manager, client):
    """Begin a long load, wait until it reports progress, and return the processes the kernel has started."""
    client.execute(LOAD)
    while client.get_iopub_msg(timeout=60)["msg_type"] != "update_display_data":
        pass
    return psutil.Process(manager.provisioner.pid).children(recursive=True)


def test_the_stop_button_ends_a_load_and_the_next_one_works(kernel):
    manager, client = kernel
    started = under_load(manager, client)
    assert started
    manager.interrupt_kernel()
    assert client.get_shell_msg(timeout=30)["content"]["ename"] == "KeyboardInterrupt"
    assert all_gone(started)
    reply = client.execute(
        "assert load(server.url, users=5, seconds=0.2).errors == 0", reply=True, timeout=30
    )
    assert reply["content"]["status"] == "ok"


def test_a_killed_kernel_leaves_no_process_behind(kernel):
    manager, client = kernel
    started = under_load(manager, client)
    psutil.Process(manager.provisioner.pid).kill()
    assert all_gone(started)
