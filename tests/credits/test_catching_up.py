"""What was left over is caught up with: whatever of it fails keeps nothing else from being done."""

from typing import Any
from uuid import UUID

import pytest

from config.models import Notice as Told
from credits.models import Account, Notice
from credits.notices import noticed
from credits.tasks import catch_up
from tests.credits.booking import account_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_step_that_fails_keeps_none_of_the_others_from_being_done(
    payer: int, sent: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("The database is on holiday.")

    monkeypatch.setattr("credits.tasks.tell_left_over", fail)
    Account.objects.update(auto_top_up_threshold=500, auto_top_up_amount=700)

    with pytest.raises(RuntimeError, match="on holiday"):
        catch_up()

    assert len(sent) == 1


def test_a_receiver_that_breaks_the_transaction_keeps_nothing_from_the_others(payer: int, sent: list[UUID]) -> None:
    def fail(*, notice: Notice, **_signal: Any) -> None:
        if notice.kind == "LOW_BALANCE":
            Notice.objects.create(pk=notice.pk, account_id=notice.account_id, balance=0)

    account = account_of(payer)
    Notice.objects.all().delete()
    Told.objects.all().delete()
    Account.objects.update(auto_top_up_threshold=500, auto_top_up_amount=700)
    noticed.connect(fail)
    try:
        for kind in ("LOW_BALANCE", "OUT_OF_CREDITS"):
            Notice.objects.create(account=account, kind=kind, balance=0)
        catch_up()
    finally:
        noticed.disconnect(fail)

    assert list(Told.objects.values_list("kind", flat=True)) == ["OUT_OF_CREDITS"]
    assert not Notice.objects.filter(told_at=None).exists()
    assert len(sent) == 1
