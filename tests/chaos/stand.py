"""Servers and workers for a measurement that nothing else disturbs, and that leaves nothing behind."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection

from config.supervisor import print_line
from tests.chaos.crew import Crew
from tests.chaos.faults import MESSAGE_LISTS
from tests.chaos.prices import grant_riches
from tests.chaos.servers import make_broker, make_database

POLL_SECONDS: Final = 0.02


class Stand:
    """Everything that `make chaos` has but the faults, while the `with` block lasts."""

    def __init__(self, folder: Path) -> None:
        self.crew = Crew(folder)
        self.broker = redis.Redis.from_url(str(settings.REDIS_URL))
        self._folder = folder
        self._servers = (make_database(), make_broker())

    def __enter__(self) -> "Stand":
        """Start it all."""
        try:
            for server in self._servers:
                server.start()
            for server in self._servers:
                server.await_ready()
            call_command("migrate", verbosity=0)
            self.crew.await_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it all."""
        self._end()

    def make_user(self, name: str) -> User:
        """Return a user who can pay."""
        user = User.objects.create_user(username=name)
        grant_riches(user)
        return user

    def wait(self, condition: Callable[[], bool], *, seconds: float) -> None:
        """Wait until something is so, while workers are looked after. Raises `TimeoutError`."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"It was not so within {seconds:g} s.")
            self.crew.look_after()
            time.sleep(POLL_SECONDS)

    def count_messages(self) -> int:
        """Return how many messages are in the queues."""
        return sum(int(self.broker.llen(queue)) for queue in MESSAGE_LISTS)

    def report(self, figures: dict[str, Any]) -> None:
        """Print the figures, and keep them."""
        text = json.dumps(figures, indent=2)
        (self._folder / "figures.json").write_text(text + "\n", encoding="utf-8")
        print_line(text)

    def _end(self) -> None:
        self.crew.kill()
        connection.close()
        for server in reversed(self._servers):
            server.stop()
