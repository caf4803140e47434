"""Missed times that are made up for come together: what the overlap policy makes of them."""

import pytest
from django.contrib.auth.models import User

from execution.models import Execution
from scheduling.policies import Overlap
from tests.execution.drain import Drain
from tests.scheduling.making import HOUR, MINUTE, fire, make_schedule, states

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("misfire", "overlap", "expected"),
    [
        *(("skip", overlap, ["MISSED", "MISSED", "MISSED"]) for overlap in Overlap),
        *(("fire_once", overlap, ["MISSED", "MISSED", "STARTED"]) for overlap in Overlap),
        ("fire_all", "allow", ["STARTED", "STARTED", "STARTED"]),
        ("fire_all", "skip", ["STARTED", "SKIPPED", "SKIPPED"]),
        ("fire_all", "queue_one", ["STARTED", "WAITING", "SKIPPED"]),
        ("fire_all", "cancel_running", ["SKIPPED", "SKIPPED", "STARTED"]),
    ],
)
def test_missed_times_that_are_made_up_for_overlap_like_others(
    user: User, drain: Drain, misfire: str, overlap: str, expected: list[str]
) -> None:
    schedule = make_schedule(user, misfire=misfire, overlap=overlap)

    fire(schedule, late=2 * HOUR + 30 * MINUTE)

    assert states(schedule) == expected
    assert {run.status for run in Execution.objects.all()} <= {"QUEUED"}
