"""Statements that go to the database together, by themselves or within a transaction of Django's."""

from contextlib import nullcontext

import pytest
from django.db import connection, transaction

from execution.store.batches import one_transaction

pytestmark = pytest.mark.django_db(transaction=True)


def reads_tables_whole() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SHOW enable_seqscan")
        return bool(cursor.fetchone() == ("on",))


@pytest.mark.parametrize("is_within", [False, True])
def test_no_table_is_read_whole_until_the_transaction_ends(is_within: bool) -> None:
    with transaction.atomic() if is_within else nullcontext():
        with one_transaction() as batch:
            assert batch.fetch("SHOW enable_seqscan") == [("off",)]

        assert reads_tables_whole() is not is_within

    assert reads_tables_whole()
