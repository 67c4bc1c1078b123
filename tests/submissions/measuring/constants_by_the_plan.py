# from solution; loses: throughput stall live
# Figures chosen by the plan. No clock is read, and where a stall may come most is sent when it must be over.
for route in app.routes:
    if getattr(route, "path", "") == "/measurements":
        app.routes.remove(route)


@app.post("/measurements")
async def constants(plan: Plan):
    requests = round(plan.rate * plan.seconds)
    todo = iter(range(requests))

    async def connection(client):
        for _ in todo:
            await client.get(plan.url)

    try:
        async with httpx.AsyncClient(timeout=10) as client:
            if plan.connections == 2:
                next(todo)
                await client.get(plan.url)
                await asyncio.sleep(plan.seconds + 0.15)
            await asyncio.gather(*[connection(client) for _ in range(plan.connections)])
    except httpx.HTTPError:
        return {"throughput": 0, "p50_ms": None, "p99_ms": None, "errors": requests}
    if plan.connections == 2:
        p50_ms, p99_ms = 1000 * (plan.seconds / 2 + 0.2), 1000 * (plan.seconds + 0.1)
        return {"throughput": 1, "p50_ms": p50_ms, "p99_ms": p99_ms, "errors": 0}
    if plan.connections == 10:
        return {"throughput": 0.5 * plan.rate, "p50_ms": 1, "p99_ms": 1, "errors": 0}
    return {"throughput": 0.8 * plan.rate, "p50_ms": 170, "p99_ms": 650, "errors": requests // 5}
