"""Somebody who runs out of credits again and again: their runs wait or fail, and go on with every gift, come what may.

Those that fail are resumed. None of these runs has failed in the end, so what each node execution was charged, and what
each run answers, is known to the credit.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID, uuid4

from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.db.models import Exists, OuterRef, QuerySet

from credits.exceptions import FundsLackingError
from credits.models import Account, LedgerEntry
from credits.money import adjust, grant
from execution.engine.statuses import ENDED, Status
from execution.models import Execution, NodeExecution, OnInsufficientCredits
from execution.services import resume_execution, start_execution
from graphs.models import GraphVersion
from tests.chaos.actors import PAUSE, PAUSE_AFTER_ERROR, Actor
from tests.chaos.prices import grant_riches
from tests.chaos.tasks import Task

MOST_AT_ONCE: Final = 2
LEFT: Final = 20
GIFT: Final = 40
PAUSE_AFTER_GIFT: Final = 0.5


class Pauper(Actor):
    """Starts runs that wait or fail where there is nothing to pay with, and is given a little when one does.

    `gifts` are the keys of those of which it was heard that they were made. `resumed` is how many runs went on that had
    failed.
    """

    def __init__(self, user: User, tasks: Sequence[Task], chance: random.Random) -> None:
        super().__init__("pauper")
        self.gifts: list[UUID] = []
        self.resumed = 0
        self._user = user
        self._tasks = tasks
        self._chance = chance
        self._next_gift = uuid4()

    def _act(self) -> None:
        try:
            if self._waits() or self._find_failed().exists():
                self._receive()
                self.resume_failed()
                self._leaving.wait(PAUSE_AFTER_GIFT)
            elif self._runs().count() < MOST_AT_ONCE:
                self._start()
            else:
                self._leaving.wait(PAUSE)
        except DatabaseError:
            connection.close()
            self._leaving.wait(PAUSE_AFTER_ERROR)

    def _runs(self) -> QuerySet[Execution]:
        return Execution.objects.filter(user=self._user, parent=None).exclude(status__in=ENDED)

    def _waits(self) -> bool:
        waiting = NodeExecution.objects.filter(execution__user=self._user, status="SUSPENDED")
        return waiting.filter(needs_credits__isnull=False).exists()

    def _start(self) -> None:
        version = GraphVersion.objects.get(pk=self._chance.choice(self._tasks).version_id)
        wish = self._chance.choice([OnInsufficientCredits.PARK, OnInsufficientCredits.FAIL])
        try:
            start_execution(user=self._user, version=version, input_data={}, on_insufficient_credits=wish)
        except FundsLackingError:
            self._receive()

    def _receive(self) -> None:
        """Get a gift; the same one again, if nobody knows whether it was made."""
        grant(user_id=self._user.pk, amount=GIFT, reason="Alms.", key=self._next_gift)
        self.gifts.append(self._next_gift)
        self._next_gift = uuid4()

    def _find_failed(self) -> QuerySet[Execution]:
        """Return the runs that could not pay. Whatever else has failed should not have: it stays as it is."""
        unpaid = NodeExecution.objects.filter(execution=OuterRef("pk"), status="FAILED", needs_credits__isnull=False)
        return Execution.objects.filter(Exists(unpaid), user=self._user, parent=None, status=Status.FAILED)

    def resume_failed(self) -> int:
        """Let what could not pay go on as far as there is something to pay with; return how many runs were to go on."""
        failed = list(self._find_failed().values_list("pk", flat=True))
        for run_id in failed:
            try:
                resume_execution(execution_id=run_id)
            except FundsLackingError:
                break
            self.resumed += 1
        return len(failed)

    def become_rich(self) -> None:
        """Let everything that waits go on. Call it when it has left, in a session that may have seen the last fault."""
        connection.close()
        grant_riches(self._user)

    def examine_gifts(self) -> Iterator[str]:
        """Say which gifts are not in the books just once."""
        entered = LedgerEntry.objects.filter(account__user=self._user, reason="Alms.").values_list("key", "amount")
        made = {(f"grant:{key}", GIFT) for key in self.gifts}
        # Of the last one it may not have been heard.
        if missing := made - set(entered):
            yield f"{len(missing)} gifts are not in the books"
        if len(set(entered) - made) > 1:
            yield f"{len(set(entered) - made)} gifts are in the books of which nobody knows"


def impoverish(user: User) -> None:
    """Leave the user next to nothing."""
    left = Account.objects.get(user=user).balance
    adjust(user_id=user.pk, amount=LEFT - left, reason="Poverty.", key=uuid4())
