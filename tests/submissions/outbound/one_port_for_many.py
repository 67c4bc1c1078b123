# from solution; loses: connections
# A connection a call, each from a port that the one before has given up.
import json
import socket
import struct
from urllib.parse import urlsplit

PORTS = {name: list(range(20_000 + 100 * place, 20_100 + 100 * place)) for place, name in enumerate(URLS)}
AT_ONCE = struct.pack("ii", 1, 0)  # closing sends RST, and the port is free


async def ask(name, key):
    _, breaker = state[name]
    if not breaker.allows():
        return None
    part, port = None, PORTS[name].pop()
    try:
        async with asyncio.timeout(DEADLINE):
            part = await asked_from(port, urlsplit(URLS[name]), f"/{name}/{key}")
    except (OSError, TimeoutError, ValueError):
        pass
    finally:
        breaker.note(part is not None)
        PORTS[name].append(port)
    return part


async def asked_from(port, where, path):
    with socket.socket() as connection:
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        connection.bind(("127.0.0.1", port))
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, (where.hostname, where.port))
        request = f"GET {path} HTTP/1.1\r\nHost: upstream\r\nConnection: close\r\n\r\n"
        await loop.sock_sendall(connection, request.encode())
        answer = b""
        while piece := await loop.sock_recv(connection, 65_536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return json.loads(body) if b" 200 " in head[:20] else None
