# from solution; loses: whole connections partial retries spared deadline recovers
kept = {}
ask_now = ask


async def ask(name, key):
    told, part = kept.get((name, key), (0, None))
    if time.monotonic() > told + 2:
        part = await ask_now(name, key)
        if part is not None:
            kept[name, key] = time.monotonic(), part
    return part
