"""A Celery app without Django, without rows: the least that a task through the same broker can cost.

`BENCH_CELERY_URL` is Celery's URL of a database of the broker that nobody else uses, `BENCH_REDIS_URL` redis-py's.
"""

import os

from celery import Celery
from redis import Redis

from bench.fibonacci import fibonacci

URL = os.environ.get("BENCH_CELERY_URL", "redis://")

app = Celery("bench", broker=URL, backend=URL)
app.conf.update(broker_connection_retry_on_startup=True, result_expires=60)

# Whoever waits for the end of a run waits as long as it takes.
redis = Redis.from_url(os.environ.get("BENCH_REDIS_URL", "redis://"), socket_timeout=None)


@app.task(ignore_result=True)
def hop(left: int, done: str) -> None:
    """Send the next one, or tell the caller that this was the last."""
    if left > 1:
        hop.apply_async(args=(left - 1, done))
    else:
        redis.rpush(done, "")


@app.task
def no_op(value: object = None) -> object:
    """Return what came in, as a result that a chord counts."""
    return value


@app.task
def fib(n: int) -> int:
    """Return the n-th Fibonacci number, the slow way."""
    return fibonacci(n)


@app.task
def join(_values: object = None) -> int:
    """End a chord."""
    return 0
