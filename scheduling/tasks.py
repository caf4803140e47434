"""What beat has workers do. A message is a hint: the rows say what is due."""

from typing import Final
from uuid import UUID

import structlog
from celery import shared_task
from django.db import Error as DatabaseError

from execution.database_patience import DATABASE_AWAY
from scheduling.aiming import aim_anew
from scheduling.checking import check_wanted
from scheduling.firing import fire_due, start_waiting
from scheduling.periodic_tasks import FIRE_TASK
from scheduling.settling import settle_ended

FIRE_BATCH: Final = 200
LOOK_AFTER_BATCH: Final = 500

logger = structlog.get_logger(__name__)


@shared_task(name="scheduling.fire_due")
def fire_batch() -> None:
    """Start what is due of some schedules; others take others at the same time."""
    try:
        count = fire_due(limit=FIRE_BATCH)
    except DatabaseError as error:
        logger.warning("what is due stays due: the database can't be used", error=str(error).strip())
        return
    if count:
        logger.info("schedules fired", count=count)


@shared_task(name=FIRE_TASK)
def fire(schedule_id: str) -> None:
    """Start what is due of one schedule, if anything is: what its PeriodicTask says."""
    fire_due(limit=1, schedule_id=UUID(schedule_id))


@shared_task(name="scheduling.look_after")
def look_after() -> None:
    """Do what there is to do for schedules besides what is due; one step doesn't depend on another."""
    for step in (aim_anew, _settle_all, start_waiting, check_wanted):
        try:
            step(limit=LOOK_AFTER_BATCH)
        except DATABASE_AWAY as error:
            logger.warning("schedules will be looked after later: the database can't be used", error=str(error).strip())
            return
        except Exception:  # what one step meets must not keep the others from going on
            logger.exception("a step of looking after schedules failed", step=step.__name__)


def _settle_all(*, limit: int) -> None:
    while settle_ended(limit=limit) == limit:
        pass
