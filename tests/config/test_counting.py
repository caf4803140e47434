"""Counting per stretch of time, with Redis and without."""

import time

import pytest
from pytest_django import Settings

from config.counting import Counter
from config.startup import require_broker


def require_redis(settings: Settings) -> None:
    """Have Redis, or skip the test: with RabbitMQ alone there is none, and each process counts for itself."""
    if settings.REDIS_URL is None:
        pytest.skip("There is no Redis beside RabbitMQ: REDIS_URL names none.")
    require_broker()


@pytest.fixture(params=["redis", "no redis", "redis away"])
def anywhere(request: pytest.FixtureRequest, settings: Settings) -> str:
    if request.param == "redis":
        require_redis(settings)
    else:
        settings.REDIS_URL = None if request.param == "no redis" else "redis://127.0.0.1:1/0"
    return str(request.param)


def test_what_happens_is_counted_until_the_next_stretch_begins(anywhere: str) -> None:
    clock = [time.time() // 60 * 60 + 3.0]
    counter, key = Counter(now=lambda: clock[0]), f"test:{time.time_ns()}"

    counts = [counter.add(key, seconds=60) for _ in range(3)]
    clock[0] += 60

    assert [count.number for count in counts] == [1, 2, 3]
    assert counts[-1].seconds_left == pytest.approx(57)
    assert counter.add(key, seconds=60).number == 1


def test_processes_count_together_through_redis(settings: Settings) -> None:
    require_redis(settings)
    key = f"test:{time.time_ns()}"

    Counter().add(key, seconds=1000)

    assert Counter().add(key, seconds=1000).number == 2


def test_what_is_taken_back_is_taken_from_the_stretch_in_which_it_was_counted(anywhere: str) -> None:
    clock = [time.time() // 60 * 60 + 3.0]
    counter, key = Counter(now=lambda: clock[0]), f"test:{time.time_ns()}"
    first, second = (counter.add(key, seconds=60) for _ in range(2))

    counter.take_back(first)
    again = counter.add(key, seconds=60)
    clock[0] += 60
    counter.take_back(second)

    assert (again.number, counter.add(key, seconds=60).number) == (2, 1)


def test_a_redis_that_is_away_is_not_asked_each_time(settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/1"
    counter = Counter()
    counter.add("x", seconds=60)

    began = time.monotonic()
    for _ in range(1000):
        counter.add("x", seconds=60)

    assert time.monotonic() - began < 0.5
