# from solution; loses: budget errors planes saturated flat unknown recovers
async def nobody():
    raise HTTPException(503, "All connections are busy", headers={"Retry-After": "1"})
    yield


app.dependency_overrides[get_connection] = nobody
