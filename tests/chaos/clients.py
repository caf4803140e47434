"""Clients of the API: each starts runs over HTTP, and asks again under the same key until it hears that one began."""

import http.client
import itertools
import json
import random
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from django.contrib.auth.models import User
from django.contrib.postgres.aggregates import ArrayAgg
from django.db import DatabaseError, connection

from config.accounts.keys import make_key
from execution.engine.statuses import ENDED
from execution.models import Execution
from graphs.models import GraphVersion
from tests.chaos.actors import PAUSE, PAUSE_AFTER_ERROR, Actor
from tests.chaos.tasks import Task

HOST: Final = "127.0.0.1"
COUNT: Final = 2
MOST_AT_ONCE: Final = 8
LABEL: Final = "request "
ANSWER_SECONDS: Final = 15.0


class Client(Actor):
    """Somebody who starts runs, one after the other; when there are enough, it asks for old ones once more.

    Each run is labelled with the key of its request. `accepted` maps these to the run that the first answer named,
    `contradicted` those to which another answer named another run. `unheard` requests got no answer, or that it can't
    be done now; of `answered_again` ones the server knew the answer.
    """

    def __init__(self, port: int, secret: str, tasks: Sequence[Task], chance: random.Random, *, name: str) -> None:
        super().__init__(f"client {name}")
        self.accepted: dict[str, UUID] = {}
        self.contradicted: dict[str, UUID] = {}
        self.is_asking = False
        self.unheard = 0
        self.answered_again = 0
        self._port = port
        self._secret = secret
        self._tasks = tasks
        self._chance = chance
        self._keys = (f"{LABEL}{name}-{number}" for number in itertools.count())
        self._addresses: dict[UUID, str] = {}
        self._asked: dict[str, str] = {}

    def _act(self) -> None:
        try:
            going_on = Execution.objects.exclude(status__in=ENDED).filter(parent=None, label__startswith=LABEL).count()
            address = self._address_of(self._chance.choice(self._tasks))
        except DatabaseError:
            connection.close()
            self._leaving.wait(PAUSE_AFTER_ERROR)
            return
        if going_on < MOST_AT_ONCE:
            key = next(self._keys)
            self._asked[key] = address
            self.accepted[key] = self._insist(key)
        elif self.accepted:
            key = self._chance.choice(list(self.accepted))
            if (found := self._insist(key)) != self.accepted[key]:
                self.contradicted[key] = found
        self._leaving.wait(PAUSE)

    def _insist(self, key: str) -> UUID:
        """Ask until there is an answer."""
        while (found := self._ask(self._asked[key], key)) is None:
            self.unheard += 1
            threading.Event().wait(PAUSE_AFTER_ERROR)
        return found

    def _address_of(self, task: Task) -> str:
        if task.version_id not in self._addresses:
            version = GraphVersion.objects.get(pk=task.version_id)
            self._addresses[task.version_id] = f"/v1/graphs/{version.graph_id}/execute/{version.version}"
        return self._addresses[task.version_id]

    def _ask(self, address: str, key: str) -> UUID | None:
        """Return the run that the server says it has accepted, None if it says nothing, or that it can't now."""
        caller = http.client.HTTPConnection(HOST, self._port, timeout=ANSWER_SECONDS)
        headers = {
            "Authorization": f"Bearer {self._secret}",
            "Idempotency-Key": key.replace(" ", "-"),
            "Content-Type": "application/json",
        }
        self.is_asking = True
        try:
            caller.request("POST", address, json.dumps({"label": key}), headers)
            answer = caller.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            self.is_asking = False
            caller.close()
        if answer.status >= 500:
            return None
        if answer.status != 202:
            raise RuntimeError(f"A request was refused with status {answer.status}: {content!r}")
        self.answered_again += answer.getheader("Idempotency-Replayed") is not None
        found: Any = json.loads(content)
        return UUID(found["id"])


def make_clients(user: User, tasks: Sequence[Task], chance: random.Random, *, port: int) -> list[Client]:
    """Return clients that ask in the name of the user, with one API key."""
    secret = make_key(user=user, name="chaos", scopes=["execute"]).secret
    return [
        Client(port, secret, tasks, random.Random(chance.random()), name=str(number + 1)) for number in range(COUNT)
    ]


def examine_requests(clients: Sequence[Client]) -> Iterator[str]:
    """Say which request has not exactly the one run that its answer named."""
    runs = Execution.objects.filter(label__startswith=LABEL).order_by("label").values_list("label")
    found = dict(runs.annotate(runs=ArrayAgg("pk")))
    accepted = {key: run_id for client in clients for key, run_id in client.accepted.items()}
    for key in accepted.keys() | found.keys():
        if found.get(key) != [accepted.get(key)]:
            yield f"{key} was answered with run {accepted.get(key)}, and has {found.get(key, [])}"
    for key, run_id in (pair for client in clients for pair in client.contradicted.items()):
        yield f"{key} was answered with run {accepted[key]}, and then with {run_id}"
