"""Load on a service, made by a process of its own. What its numbers mean:

1.  Closed workload (``users=``): each user asks again when the last answer is whole. Open workload
    (``rate=``): requests start at times set beforehand, evenly or at random, whatever is still open.
2.  The window lasts ``seconds``. In a closed workload it opens when each user has had an answer, or 3 s after
    the first (the result then says how many had none); users go on spread over the time of one answer. In
    an open one it opens after ``warm_up`` seconds of the same load. Without any answer it opens after 5 s.
3.  Throughput: good answers within the window, divided by its length. Silence counts.
4.  Good: a whole answer with a status of 200 to 299, or 304. Errors: a status of 400 or more, or no answer.
    Redirects, and what failed in the generator itself, are neither, and are counted separately.
5.  Latency: from the start of a request (in an open workload the intended one) to the last byte, of each good
    answer to a request that was open at some moment of the window. They are waited for, 10 s at most.
6.  A request given up after ``timeout`` lasted at least so long. A percentile it could decide reads "≥".
7.  A percentile is shown if at least one request lies beyond it: a p99 takes 100 requests, a p95 20.
8.  After a failure (no answer, 429, 500 and above) a user waits ``back_off`` seconds, 0.1 unless said.
9.  Each run draws new keys and gaps from a seed that it names; ``seed=`` repeats them.
10. Little's law: requests open = answers per second × mean latency, in every run that is steady. Where that
    fails, or the generator was the limit, or the window too short, the result says so (`doubts`).
"""

from underload.doors import doors

__getattr__, __dir__ = doors(
    __name__,
    {
        "Request": "request",
        "Result": "result",
        "Sample": "samples",
        "load": "workload",
        "number": "wording",
        "percentile": "wording",
        "prepare": "process",
        "stop_idle": "process",
    },
)
__all__ = __dir__()
