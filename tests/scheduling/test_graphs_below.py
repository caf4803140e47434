"""What becomes of schedules when graphs are deleted that theirs run."""

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from graphs.lifecycle import delete_graph
from graphs.models import Graph
from graphs.services import find_sub_graphs, get_version, replace_graph
from scheduling.checking import check_wanted
from scheduling.models import Schedule
from tests.execution.families import AGENT, make_family, nest
from tests.execution.lock_waits import running_into, session_beside
from tests.execution.small_graphs import draw
from tests.scheduling.making import make_schedule

pytestmark = pytest.mark.django_db(transaction=True)


def find_lowest(schedule: Schedule) -> Graph:
    """Return the graph below all others of a schedule's."""
    version = get_version(user=schedule.user, graph_id=str(schedule.graph_id))
    return next(each.graph for each in find_sub_graphs(version=version) if not find_sub_graphs(version=each))


def problems(*schedules: Schedule) -> list[str]:
    return [Schedule.objects.get(pk=each.pk).problem for each in schedules]


def test_schedules_are_looked_at_when_a_graph_below_theirs_is_deleted(user: User) -> None:
    above, pinned = make_schedule(user, make_family()), make_schedule(user, make_family(), graph_version=1)
    far_above, alone = make_schedule(user, nest(make_family())), make_schedule(user)
    strangers = make_schedule(User.objects.create_user("grace"), make_family())

    for schedule in (above, pinned, far_above):
        delete_graph(graph=find_lowest(schedule))
    check_wanted(limit=10)

    assert all("which you don't have" in each for each in problems(above, pinned, far_above))
    assert problems(alone, strangers) == ["", ""]


def test_who_runs_no_other_graphs_and_who_is_somebody_else_is_not_looked_at(user: User) -> None:
    above, alone = make_schedule(user, make_family()), make_schedule(user)
    strangers = make_schedule(User.objects.create_user("grace"), make_family())

    delete_graph(graph=find_lowest(above))

    assert list(Schedule.objects.filter(needs_check=True)) == [above]
    assert {alone.needs_check, strangers.needs_check} == {False}


def test_it_is_noted_in_the_transaction_of_the_deletion(user: User) -> None:
    above = make_schedule(user, make_family())

    with transaction.atomic():
        delete_graph(graph=find_lowest(above))
        above.refresh_from_db()
        assert above.needs_check
        # Whoever does this dies as soon as it is committed.
        transaction.get_connection().run_on_commit.clear()

    assert check_wanted(limit=10) == 1
    assert "which you don't have" in problems(above)[0]


def test_who_is_just_being_looked_at_is_looked_at_again(user: User) -> None:
    above = make_schedule(user, make_family())
    lowest = find_lowest(above)
    Schedule.objects.update(needs_check=True)

    with session_beside() as other:
        # Somebody has found that it can run, and is about to say so.
        other.execute("UPDATE scheduling_schedule SET needs_check = false")
        with running_into(other, lambda: delete_graph(graph=lowest)):
            other.execute("COMMIT")

    assert check_wanted(limit=10) == 1
    assert "which you don't have" in problems(above)[0]


def test_a_deletion_that_is_taken_back_has_nothing_looked_at(user: User) -> None:
    schedule = make_schedule(user, make_family())

    with transaction.atomic():
        delete_graph(graph=find_lowest(schedule))
        transaction.set_rollback(True)

    assert check_wanted(limit=10) == 0


def test_a_new_version_below_changes_nothing_above(user: User) -> None:
    schedule = make_schedule(user, make_family())

    replace_graph(graph=find_lowest(schedule), document=draw({"other": (AGENT, {})}))

    assert check_wanted(limit=10) == 0
    assert problems(schedule) == [""]


def test_marking_takes_one_statement_however_many_schedules_there_are(user: User) -> None:
    def count() -> int:
        lowest = find_lowest(make_schedule(user, make_family()))
        with CaptureQueriesContext(connection) as queries:
            delete_graph(graph=lowest)
        return sum("scheduling_schedule" in each["sql"] for each in queries.captured_queries)

    few = count()
    for _ in range(5):
        make_schedule(user, make_family())

    assert count() == few
