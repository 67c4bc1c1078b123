"""A proxy that the environment names is not asked for the services of this machine."""

import os
import subprocess
import sys

import pytest

SERVED = """
import httpx, urllib.request
from fastapi import FastAPI
from underload import serve

app = FastAPI()

@app.get("/")
async def answer():
    return "ok"

server = serve(app)
print(httpx.get(server.url).json(), httpx.get(server.url.replace("127.0.0.1", "localhost")).json())
print(urllib.request.urlopen(server.url).status)
"""
NAMED = "import os, underload; print(os.environ['NO_PROXY'], os.environ['no_proxy'])"


def python(code, **proxies):
    """Run code in a process that knows of these proxies alone; return what it printed."""
    ours = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=ours | proxies, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_service_is_reached_past_a_dead_proxy(scheme):
    dead = f"{scheme}://127.0.0.1:1"
    for spelling in (str.upper, str.lower):
        proxies = {spelling(name): dead for name in ("http_proxy", "https_proxy", "all_proxy")}
        assert python(SERVED, **proxies) == ["ok", "ok", "200"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "corp.example, localhost"}, "corp.example,localhost,127.0.0.1,::1"),
        (
            {"NO_PROXY": "one.example", "no_proxy": "two.example"},
            "one.example,two.example,127.0.0.1,localhost,::1",
        ),
        ({"NO_PROXY": "*", "no_proxy": "*"}, "*"),
    ],
)
def test_what_was_named_already_stays(before, after):
    assert python(NAMED, **before) == [after, after]
