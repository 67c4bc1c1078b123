# from solution; loses: stall
async def record(url, rate, seconds, connections):
    schedule = iter([number / rate for number in range(round(rate * seconds))])

    async def connection(client, zero):
        recording = []
        for due in schedule:
            await asyncio.sleep(max(0, zero + due - time.perf_counter()))
            sent = time.perf_counter() - zero
            try:
                status = (await client.get(url)).status_code
            except httpx.HTTPError:
                status = 0
            latency = time.perf_counter() - zero - sent
            recording.append(Sample(due=sent, latency_ms=latency * 1000, status=status))
        return recording

    async with httpx.AsyncClient(timeout=10) as client:
        zero = time.perf_counter()
        return await asyncio.gather(*[connection(client, zero) for _ in range(connections)])
