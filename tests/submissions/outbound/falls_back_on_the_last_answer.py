# from solution; loses: partial retries spared deadline
last = {}
ask_now = ask


async def ask(name, key):
    part = await ask_now(name, key)
    if part is not None:
        last[name] = part
    return last.get(name)
