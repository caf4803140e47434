"""Everything that a benchmark runs on: servers of its own, migrated and empty, our workers, and the peers."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from redis import Redis

from bench.contender import Contender, RunFailedError
from bench.costs import Meter
from bench.engine import Engine
from bench.peers.process import Peer
from bench.shapes import Shape
from config import embedded
from config.embedded.valkey import socket_path
from config.environment import broker_url_of, with_database
from config.local import LOCAL_DIR, open_folder
from config.startup import require_broker, require_database
from config.supervisor import print_line

CELERY_DATABASE: Final = "9"


@dataclass(frozen=True, kw_only=True)
class Session:
    """What is there while it lasts: our engine, whoever else could be started, and meters of the servers."""

    engine: Engine
    peers: tuple[Peer, ...]
    broker: Redis

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """All, our engine first."""
        return self.engine, *self.peers

    def meter(self, contender: Contender) -> Meter:
        """Return a meter of the contender's own processes and of the servers."""
        groups: dict[str, list[int]] = {"postgres": [_postgres_pid()], "broker": [self.broker.info()["process_id"]]}
        if isinstance(contender, Engine):
            groups |= {f"{kind}_worker": [pid] for kind, pid in contender.worker_pids().items()}
        elif isinstance(contender, Peer):
            groups[contender.name] = [contender.pid]
        return Meter(groups, broker=self.broker)


@contextmanager
def open_session(*, peers: tuple[str, ...]) -> Iterator[Session]:
    """Start everything; a peer that can't be started is left out with a word about why."""
    require_database()
    require_broker()
    try:
        call_command("migrate", verbosity=0)
        user = User.objects.create_user(username="ada")
        with ExitStack() as stack:
            started = [peer for name in peers if (peer := _start_peer(stack, name)) is not None]
            engine = stack.enter_context(Engine(user))
            with Redis.from_url(str(settings.REDIS_URL)) as broker:
                yield Session(engine=engine, peers=tuple(started), broker=broker)
    finally:
        connection.close()
        embedded.release()


def postgres_log() -> Path:
    """Return the file that the session's PostgreSQL writes its log into."""
    return LOCAL_DIR / "log" / f"{embedded.POSTGRES}.log"


def _start_peer(stack: ExitStack, name: str) -> Peer | None:
    try:
        return stack.enter_context(_make_celery(open_folder("log") / f"{name}.log"))
    except (RunFailedError, OSError) as error:
        print_line(f"{name} is left out: {error}")
        return None


def _make_celery(log: Path) -> Peer:
    url = with_database(f"unix://{socket_path()}", CELERY_DATABASE)
    return Peer(
        "celery",
        command=[sys.executable, "-m", "bench.peers.celery_peer"],
        environment={"BENCH_REDIS_URL": url, "BENCH_CELERY_URL": broker_url_of(url)},
        log=log,
        suits=_has_canvas,
    )


def _has_canvas(shape: Shape) -> bool:
    widths = [len(level) for level in shape.levels]
    return len(widths) == shape.size or (len(widths) == 3 and widths[0] == widths[2] == 1)


def _postgres_pid() -> int:
    lines = (LOCAL_DIR / embedded.POSTGRES / "data" / "postmaster.pid").read_text("utf-8").splitlines()
    return int(lines[0])
