# from lab; loses: health sustained cores
app = FastAPI(lifespan=lifespan)


@app.get("/health")
def health():
    return {"ok": True}


@app.get("/reports/{number}")
def report(number: int):
    return app.state.archive.get(f"/reports/{number}").json()


@app.get("/summary/{first}")
def summary(first: int):
    return {"first": first, "spread": statistics.pstdev(app.state.delays[first : first + 120_000])}
