# from solution; loses: spared recovers
async def ask(name, key):
    client, _ = state[name]
    for _ in range(2):
        try:
            async with asyncio.timeout(0.7):
                answer = await client.get(f"/{name}/{key}")
            return answer.json() if answer.status_code == 200 else None
        except (httpx.HTTPError, TimeoutError):
            pass
    return None
