import json
from collections import Counter

import pytest
from fastapi import FastAPI, HTTPException, Response

from underload import Request, load, serve
from underload.errors import UnderloadError
from underload.loading.samples import MOST_BYTES, Reservoir, Sample


@pytest.fixture(scope="module")
def url():
    app = FastAPI()

    @app.get("/double/{n}")
    @app.post("/double/{n}")
    async def double(n: int, response: Response):
        response.headers["X-Half"] = str(n)
        return {"double": 2 * n}

    @app.get("/name/{name}")
    async def name(name: str):
        return name

    @app.get("/odd/{n}")
    async def odd(n: int):
        if n % 2:
            raise HTTPException(503)

    @app.get("/long")
    async def long():
        return Response(b"x" * (MOST_BYTES + 1))

    with serve(app, name="sampled") as server:
        yield server.url


def sampled(target, samples=20, **workload):
    result = load(target, **({"users": 4, "seconds": 0.2} | workload), samples=samples)
    assert len(result.samples) == min(samples, len(result.started))
    return result


@pytest.mark.parametrize("workload", [{"users": 4}, {"users": None, "rate": 200}], ids=["closed", "open"])
def test_a_sample_is_a_whole_answer(url, workload):
    run = sampled(url + "/double/{n}", n=range(1_000_000), **workload)
    for sample in run.samples:
        n = sample.drawn["n"]
        assert sample.asked == f"GET /double/{n}"
        assert (sample.status, sample.problem) == (200, "")
        assert json.loads(sample.body) == {"double": 2 * n}
        assert sample.headers["x-half"] == str(n)


def test_text_is_drawn_as_it_was_sent(url):
    (sample,) = sampled(url + "/name/{name}", samples=1, name=["New York"]).samples
    assert sample.asked == "GET /name/New%20York"
    assert sample.drawn == {"name": "New%20York"}
    assert json.loads(sample.body) == "New York"


def test_a_mix_is_sampled_whole(url):
    mix = [Request(f"{url}/double/{{n}}", method, parameters={"n": range(9)}) for method in ("GET", "POST")]
    run = sampled(mix, samples=200)
    assert {sample.asked.split()[0] for sample in run.samples} == {"GET", "POST"}
    assert all(json.loads(sample.body)["double"] == 2 * sample.drawn["n"] for sample in run.samples)


def test_errors_are_sampled_like_the_rest(url):
    run = sampled(url + "/odd/{n}", n=range(100))
    assert {sample.status for sample in run.samples} == {200, 503}
    assert all(sample.status == (503 if sample.drawn["n"] % 2 else 200) for sample in run.samples)


def test_no_answer_has_a_reason():
    run = sampled("http://127.0.0.1:9", samples=2, users=2)
    assert {(sample.status, sample.problem) for sample in run.samples} == {(0, "connection refused")}


def test_an_answer_that_is_too_long_is_not_kept(url):
    (sample,) = sampled(url + "/long", samples=1).samples
    assert (sample.status, sample.body) == (0, b"")
    assert f"{MOST_BYTES:,}" in sample.problem


def test_a_run_has_no_samples_unless_asked(url):
    assert load(url + "/long", users=1, seconds=0.1).samples == []


@pytest.mark.parametrize("samples", [-1, 10_000])
def test_so_many_cannot_be_kept(url, samples):
    with pytest.raises(UnderloadError, match=f"samples={samples}"):
        load(url, users=1, samples=samples)


def test_a_user_class_is_not_sampled(url):
    with pytest.raises(UnderloadError, match="user class"):
        load(url, users=1, user="visitor:Visitor", samples=1)


def test_each_request_is_as_likely_as_any_other():
    chosen = Counter()
    for _ in range(2_000):
        reservoir = Reservoir(5)
        for n in range(50):
            reservoir.offer(b"GET /%d HTTP/1.1" % n, {})
        chosen.update(sample.asked for sample in reservoir.samples)
    # 200 of each expected, give or take 13; six times that is one chance in many millions.
    assert len(chosen) == 50
    assert all(abs(times - 200) < 80 for times in chosen.values())


def test_what_is_told_is_heard():
    sample = Sample("GET /", {"n": 1})
    sample.add_header(b"Content-Type", b"text/plain")
    sample.add_body(b"\x00\xff")
    sample.end(200)
    assert Sample.heard(json.loads(json.dumps(sample.told()))) == sample
