# from solution; loses: connections
tls = httpx.create_ssl_context()  # that much was learnt


async def ask(name, key):
    breaker = state[name][1]
    if not breaker.allows():
        return None
    part = None
    try:
        async with asyncio.timeout(DEADLINE), httpx.AsyncClient(base_url=URLS[name], verify=tls) as client:
            answer = await client.get(f"/{name}/{key}")
        part = answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, TimeoutError):
        pass
    finally:
        breaker.note(part is not None)
    return part
