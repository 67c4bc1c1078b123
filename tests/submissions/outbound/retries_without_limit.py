# from solution; loses: retries spared
async def ask(name, key):
    client, _ = state[name]
    try:
        async with asyncio.timeout(DEADLINE):
            while (answer := await client.get(f"/{name}/{key}")).status_code != 200:
                await asyncio.sleep(0.05)
            return answer.json()
    except (httpx.HTTPError, TimeoutError):
        return None
