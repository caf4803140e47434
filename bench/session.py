"""Everything that a benchmark runs on: servers of its own, migrated and empty, our workers, and the peers."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from redis import Redis

from bench.contender import Contender
from bench.costs import Meter
from bench.engine import Engine
from bench.peers.process import Peer
from bench.peers.starting import start_peer
from config import embedded
from config.local import LOCAL_DIR
from config.startup import require_broker, require_database


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
def open_session(*, peers: Iterable[str]) -> Iterator[Session]:
    """Start everything; a peer that can't be started is left out with a word about why."""
    require_database()
    require_broker()
    try:
        call_command("migrate", verbosity=0)
        user = User.objects.create_user(username="ada")
        with ExitStack() as stack:
            started = [peer for name in peers if (peer := start_peer(stack, name)) is not None]
            engine = stack.enter_context(Engine(user))
            with Redis.from_url(str(settings.REDIS_URL)) as broker:
                yield Session(engine=engine, peers=tuple(started), broker=broker)
    finally:
        connection.close()
        embedded.release()


def postgres_log() -> Path:
    """Return the file that the session's PostgreSQL writes its log into."""
    return LOCAL_DIR / "log" / f"{embedded.POSTGRES}.log"


def _postgres_pid() -> int:
    lines = (LOCAL_DIR / embedded.POSTGRES / "data" / "postmaster.pid").read_text("utf-8").splitlines()
    return int(lines[0])
