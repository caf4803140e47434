"""The table of statuses: every change that is allowed, and every one that is not."""

import pytest

from execution.engine.statuses import ENDED, UNFINISHED, WAITING_FOR_SOMETHING, Status, may_change

ALLOWED = {
    "QUEUED": "INCOMPLETE TERMINATED FAILED REVIEW SUSPENDED RUNNING",
    "RUNNING": "QUEUED",
    "SUSPENDED": "RUNNING",
    "REVIEW": "RUNNING",
    "COMPLETED": "RUNNING SUSPENDED",
    "FAILED": "INCOMPLETE QUEUED RUNNING SUSPENDED REVIEW",
    "TERMINATED": "INCOMPLETE QUEUED RUNNING SUSPENDED REVIEW",
}


@pytest.mark.parametrize("new", Status)
@pytest.mark.parametrize("old", Status)
def test_a_status_changes_only_as_the_table_says(*, old: Status, new: Status) -> None:
    allowed = old.value in ALLOWED.get(new.value, "").split()

    assert may_change(old=old, new=new) is allowed


def test_the_statuses_have_the_names_that_users_know() -> None:
    names = "INCOMPLETE QUEUED RUNNING SUSPENDED REVIEW COMPLETED FAILED TERMINATED"

    assert [status.value for status in Status] == names.split()


def test_every_status_is_incomplete_unfinished_or_ended() -> None:
    assert {Status.INCOMPLETE} | UNFINISHED | ENDED == set(Status)
    assert not UNFINISHED & ENDED and Status.INCOMPLETE not in UNFINISHED | ENDED
    assert {Status.COMPLETED, Status.FAILED, Status.TERMINATED} == ENDED
    assert {Status.SUSPENDED, Status.REVIEW} == WAITING_FOR_SOMETHING
    assert WAITING_FOR_SOMETHING <= UNFINISHED
