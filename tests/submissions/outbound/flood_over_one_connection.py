# from solution; loses: connections retries spared recovers
tls = httpx.create_ssl_context()
flood = set()


async def ask(name, key):
    client, breaker = state[name]
    if not breaker.allows():
        return None
    part = None
    try:
        async with asyncio.timeout(DEADLINE), httpx.AsyncClient(base_url=URLS[name], verify=tls) as own:
            answer = await own.get(f"/{name}/{key}")
        part = answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, TimeoutError):
        pass
    finally:
        breaker.note(part is not None)
    if part is not None:  # more calls over few connections, while all is well
        flood.update(asyncio.create_task(client.get(f"/{name}/{key}")) for _ in range(3))
    return part
