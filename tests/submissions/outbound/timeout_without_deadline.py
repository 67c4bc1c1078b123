# from solution; loses: deadline
async def ask(name, key):
    client, breaker = state[name]
    if not breaker.allows():
        return None
    part = None
    try:
        answer = await client.get(f"/{name}/{key}")  # its timeout is one of 0.9 s, for each piece
        part = answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        pass
    finally:
        breaker.note(part is not None)
    return part
