# from solution; loses: live
async def record(url, rate, seconds, connections):
    schedule = iter([number / rate for number in range(round(rate * seconds))])

    async def connection(client, zero):
        recording = []
        for due in schedule:
            await asyncio.sleep(max(0, zero + due - time.perf_counter()))
            try:
                async with client.stream("GET", url) as answer:
                    status = answer.status_code
                    latency = time.perf_counter() - zero - due
                    await answer.aread()
            except httpx.HTTPError:
                status = 0
                latency = time.perf_counter() - zero - due
            recording.append(Sample(due=due, latency_ms=latency * 1000, status=status))
        return recording

    async with httpx.AsyncClient(timeout=10) as client:
        zero = time.perf_counter()
        return await asyncio.gather(*[connection(client, zero) for _ in range(connections)])
