"""What can happen to machines. Each fault is for a process or a session that the chaos run has started itself."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar
from uuid import UUID

import psycopg
import redis
from django.conf import settings

from execution.queues import QUEUES, both_of
from execution.store.ready import Ready
from execution.tasks import send
from tests.chaos.crew import Crew, Post
from tests.chaos.servers import IMMEDIATE, OwnServer, connect

T = TypeVar("T")
Later = Callable[[float, Callable[[], None]], None]
FREEZE_WORKER: Final = "freeze a worker"
MESSAGE_LISTS: Final = tuple(name for queue in QUEUES for name in both_of(queue))
OLD_MESSAGES: Final = 60
A_MINUTE: Final = 60.0
HOUR: Final = 3600.0
LONG_SECONDS: Final = 150.0
MOST_LOST: Final = 6
BUSY_SECONDS: Final = 1.5
POLL_SECONDS: Final = 0.05
# What a request takes, about, on a busy machine.
REQUEST_SECONDS: Final = 0.15


class FaultImpossibleError(Exception):
    """There is nobody to whom it could happen now: what it needs is away already."""


class Faults:
    """The faults by name: each returns what it did.

    `later(seconds, action)` has something done after a while. `deaths` maps process ids to when they were killed or
    frozen (seconds since the epoch).
    """

    def __init__(
        self,
        *,
        crew: Crew,
        database: OwnServer,
        broker: OwnServer,
        is_asked: Callable[[], bool],
        chance: random.Random,
        seconds: float,
    ) -> None:
        """`seconds`: how long there are faults. If that is long, one may take a minute, once.

        `is_asked` says whether the web server has a request that it has not answered.
        """
        self.deaths: dict[int, float] = {}
        self._crew = crew
        self._database = database
        self._broker = broker
        self._is_asked = is_asked
        self._chance = chance
        # Until when that may begin.
        self._a_minute_until = time.monotonic() + seconds - A_MINUTE if seconds >= LONG_SECONDS else 0.0
        self.by_name: dict[str, Callable[[Later], str]] = {
            "kill a pool's child": self._kill_child,
            "kill a worker": self._kill_worker,
            "kill all workers": self._kill_all_workers,
            FREEZE_WORKER: self._freeze_worker,
            "freeze a pool's child": self._freeze_child,
            "deploy: stop a worker": self._stop_worker,
            "kill the web server": self._kill_web,
            "kill beat": self._kill_beat,
            "kill the broker": self._kill_broker,
            "kill the broker, lose its data": self._kill_broker_for_good,
            "broker away for seconds": self._take_broker_away,
            "broker away for a minute": self._take_broker_away_for_a_minute,
            "freeze the broker": self._freeze_broker,
            "flush the broker": self._flush_broker,
            "cut all broker connections": self._cut_broker_connections,
            "lose messages": self._lose_messages,
            "repeat old messages": self._repeat_messages,
            "crash the database": self._crash_database,
            "end database sessions": self._end_sessions,
            "the database's clock jumps, and back": self._shift_clock,
            "crash database and broker, kill all workers, web and beat": self._crash_everything,
        }

    def _kill_child(self, _later: Later) -> str:
        pid = self._choose_busy({child: child for post in self._crew.posts for child in post.children()})
        self._note_deaths([pid])
        _signal(pid, signal.SIGKILL)
        return f"process {pid}"

    def _kill_worker(self, _later: Later) -> str:
        post = self._choose_post()
        self._note_deaths([post.pid, *post.children()])
        post.kill()
        return f"{post.name}, process {post.pid}"

    def _kill_all_workers(self, _later: Later) -> str:
        running = [post for post in self._crew.posts if post.is_running]
        if not running:
            raise FaultImpossibleError
        for post in running:
            self._note_deaths([post.pid, *post.children()])
            post.kill()
        return ", ".join(post.name for post in running)

    def _freeze_worker(self, later: Later) -> str:
        post, seconds = self._choose_post(), self._longer_than_a_lease()
        self._note_deaths([post.pid, *post.children()])
        post.signal_all(signal.SIGSTOP)
        later(seconds, lambda: post.signal_all(signal.SIGCONT))
        return f"{post.name} for {seconds:.1f} s"

    def _freeze_child(self, later: Later) -> str:
        post_of = {child: post for post in self._crew.posts for child in post.children()}
        pid, seconds = self._choose_busy({child: child for child in post_of}), self._longer_than_a_lease()
        self._note_deaths([pid])
        _signal(pid, signal.SIGSTOP)
        later(seconds, lambda: _thaw(post_of[pid], pid))
        return f"process {pid} for {seconds:.1f} s"

    def _stop_worker(self, _later: Later) -> str:
        post = self._choose_post()
        post.dismiss()
        return f"{post.name}, process {post.pid}"

    def _kill_web(self, _later: Later) -> str:
        """Kill the web server in the midst of a request, if somebody asks anything for a while."""
        if not self._crew.web.is_up():
            raise FaultImpossibleError
        deadline = time.monotonic() + BUSY_SECONDS
        while not self._is_asked() and time.monotonic() < deadline:
            time.sleep(REQUEST_SECONDS / 50)
        time.sleep(self._chance.uniform(0, REQUEST_SECONDS))
        self._crew.web.kill()
        return f"process {self._crew.web.pid}"

    def _kill_beat(self, _later: Later) -> str:
        self._require(self._crew.beat)
        self._crew.beat.kill()
        return f"process {self._crew.beat.pid}"

    def _kill_broker(self, later: Later) -> str:
        return self._end_broker(later, self._chance.uniform(0, 1), loses_data=False)

    def _kill_broker_for_good(self, later: Later) -> str:
        return self._end_broker(later, self._chance.uniform(0, 1), loses_data=True)

    def _take_broker_away(self, later: Later) -> str:
        return self._end_broker(later, self._chance.uniform(2, 8), loses_data=self._chance.random() < 0.5)

    def _take_broker_away_for_a_minute(self, later: Later) -> str:
        if time.monotonic() > self._a_minute_until:
            raise FaultImpossibleError
        done = self._end_broker(later, A_MINUTE, loses_data=self._chance.random() < 0.5)
        self._a_minute_until = 0.0
        return done

    def _end_broker(self, later: Later, seconds: float, *, loses_data: bool) -> str:
        self._require(self._broker)
        self._broker.end(signal.SIGKILL)
        if loses_data:
            self._broker.forget_everything()
        later(seconds, self._broker.start)
        return f"for {seconds:.1f} s, {'empty' if loses_data else 'with its data'} after that"

    def _freeze_broker(self, later: Later) -> str:
        self._require(self._broker)
        seconds = self._chance.uniform(1, 8)
        self._broker.send(signal.SIGSTOP)
        later(seconds, lambda: self._broker.send(signal.SIGCONT))
        return f"for {seconds:.1f} s"

    def _flush_broker(self, _later: Later) -> str:
        return self._ask_broker(lambda client: f"{client.dbsize()} keys, {client.flushall()}")

    def _cut_broker_connections(self, _later: Later) -> str:
        def cut(client: "redis.Redis") -> str:
            kinds = ("normal", "pubsub")
            return f"{sum(int(client.client_kill_filter(_type=kind, skipme=True)) for kind in kinds)} connections"

        return self._ask_broker(cut)

    def _lose_messages(self, _later: Later) -> str:
        def lose(client: "redis.Redis") -> str:
            taken = [client.rpop(queue) for queue in MESSAGE_LISTS for _ in range(self._chance.randint(1, MOST_LOST))]
            return f"{sum(message is not None for message in taken)} messages"

        return self._ask_broker(lose)

    def _repeat_messages(self, _later: Later) -> str:
        self._require(self._broker)
        rows = self._ask_database(
            "SELECT id, queue FROM execution_nodeexecution WHERE ended_at IS NOT NULL ORDER BY random() LIMIT %s",
            OLD_MESSAGES,
        )
        send([Ready(id=UUID(str(key)), queue=str(queue), name="old") for key, queue in rows])
        return f"{len(rows)} messages"

    def _crash_database(self, later: Later) -> str:
        self._require(self._database)
        seconds = self._chance.uniform(0, 2)
        self._database.end(IMMEDIATE)
        later(seconds, self._database.start)
        return f"for {seconds:.1f} s"

    def _end_sessions(self, _later: Later) -> str:
        rows = self._ask_database(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        chosen = [pid for (pid,) in rows if self._chance.random() < 0.5]
        self._ask_database("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", chosen)
        return f"{len(chosen)} of {len(rows)} sessions"

    def _shift_clock(self, later: Later) -> str:
        self._require(self._database)
        seconds = self._chance.choice((-1, 1)) * self._chance.uniform(10, 2 * HOUR)
        self._jump(seconds)
        lasts = self._chance.uniform(3, 10)
        later(lasts, lambda: self._jump_back(seconds))
        return f"by {seconds:.0f} s for {lasts:.1f} s"

    def set_clock_right(self) -> None:
        """Let the database's clock show the time again, if it could not be set back before."""
        self._ask_database("UPDATE shifted.clock SET seconds = 0 RETURNING seconds")

    def _jump(self, seconds: float) -> None:
        self._ask_database("UPDATE shifted.clock SET seconds = seconds + %s RETURNING seconds", seconds)

    def _jump_back(self, seconds: float) -> None:
        # Where the database is away, the clock stays as it is: the run has to do with that.
        with suppress(FaultImpossibleError):
            self._jump(-seconds)

    def _crash_everything(self, later: Later) -> str:
        if not self._broker.is_running or not any(post.is_running for post in self._crew.posts):
            raise FaultImpossibleError
        self._crew.web.kill()
        self._crew.beat.kill()
        return "; ".join(
            [self._crash_database(later), self._kill_broker_for_good(later), self._kill_all_workers(later)]
        )

    def _choose(self, found: Iterable[T]) -> T:
        candidates = list(found)
        if not candidates:
            raise FaultImpossibleError
        return self._chance.choice(candidates)

    def _choose_post(self) -> Post:
        return self._choose_busy(
            {pid: post for post in self._crew.posts if post.is_running for pid in (post.pid, *post.children())}
        )

    def _choose_busy(self, of_pid: Mapping[int, T]) -> T:
        """Choose among what is given by process: one that runs a block, or if there is none for a while, any."""
        deadline = time.monotonic() + BUSY_SECONDS
        busy: list[T] = []
        while not busy and time.monotonic() < deadline:
            running = self._find_running()
            busy = [each for pid, each in of_pid.items() if pid in running]
            time.sleep(POLL_SECONDS)
        return self._choose(busy or of_pid.values())

    def _find_running(self) -> set[int]:
        try:
            # Most blocks are done before a signal gets there.
            rows = self._ask_database(
                "SELECT worker FROM execution_nodeexecution"
                " WHERE status = 'RUNNING' AND claimed_at < clock_timestamp() - interval '0.2 seconds'"
            )
        except FaultImpossibleError:
            return set()
        return {int(str(worker).rpartition(":")[2]) for (worker,) in rows}

    def _longer_than_a_lease(self) -> float:
        return float(settings.LEASE_SECONDS) * self._chance.uniform(1.2, 2.5)

    def _note_deaths(self, pids: Iterable[int]) -> None:
        # A worker may be killed when it is frozen already: it was lost when that began.
        for pid in pids:
            self.deaths.setdefault(pid, time.time())

    def _require(self, server: OwnServer | Post) -> None:
        if not server.is_running:
            raise FaultImpossibleError

    def _ask_broker(self, ask: "Callable[[redis.Redis], str]") -> str:
        try:
            with redis.Redis.from_url(str(settings.REDIS_URL), socket_timeout=2, socket_connect_timeout=2) as client:
                return ask(client)
        except redis.RedisError as error:
            raise FaultImpossibleError from error

    def _ask_database(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        try:
            with connect() as session:
                return session.execute(statement, parameters).fetchall()
        except psycopg.Error as error:
            raise FaultImpossibleError from error


def _thaw(post: Post, pid: int) -> None:
    """Let a child go on, if it is still one: the kernel gives the numbers of dead processes away again."""
    if pid in post.children():
        _signal(pid, signal.SIGCONT)


def _signal(pid: int, which: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, which)
