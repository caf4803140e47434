"""Accounts and their ledger. One credit is one US cent; amounts are whole credits.

What holds is law in the database (see the migration `0002_laws`): entries are only ever added; an account's balance
changes by an entry and in no other way, what is held by a hold and in no other way; and what can be spent, which is
`balance - held`, is never below zero.
"""

from typing import Final
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

AUTO_TOP_UPS_PER_DAY: Final = 10
"""How many automatic top-ups are made within 24 hours, if their user has not said otherwise."""

MAX_KEY_LENGTH: Final = 200
MAX_BLOCK_ID_LENGTH: Final = 64
LOW_BALANCE: Final = 500
"""Below how many credits a user is told, if they have not said otherwise."""


class EntryType(models.TextChoices):
    """Why the balance changed."""

    TOP_UP = "TOP_UP"
    USAGE = "USAGE"
    GRANT = "GRANT"
    REFUND = "REFUND"
    ADJUSTMENT = "ADJUSTMENT"
    SETTLEMENT = "SETTLEMENT"


class Account(models.Model):
    """What a user has. It stays when the user goes, so that the books stay whole.

    `balance` is the sum of the entries' amounts, `owed` of what they left unpaid, `held` of the open holds, and
    `entry_count` numbers the entries. `node_executions` were counted for the fee; `unbilled_executions` of them have
    not led to a credit yet. `is_low` and `is_out` tell that the user has been told so, until the balance has risen
    again. Automatic top-ups are paused when there were `auto_top_ups_per_day` within 24 hours; `auto_top_up_halt` says
    why they wait for their user, empty: they don't. `news` goes up with everything that is to be told or done after a
    commit.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="credit_account"
    )
    balance = models.BigIntegerField(default=0, db_default=0)
    held = models.BigIntegerField(default=0, db_default=0)
    owed = models.BigIntegerField(default=0, db_default=0)
    entry_count = models.BigIntegerField(default=0, db_default=0)
    node_executions = models.BigIntegerField(default=0, db_default=0)
    unbilled_executions = models.BigIntegerField(default=0, db_default=0)
    low_balance_threshold = models.BigIntegerField(default=LOW_BALANCE, db_default=LOW_BALANCE)
    is_low = models.BooleanField(default=True, db_default=True)
    is_out = models.BooleanField(default=True, db_default=True)
    auto_top_up_threshold = models.BigIntegerField(null=True, blank=True)
    auto_top_up_amount = models.BigIntegerField(null=True, blank=True)
    auto_top_ups_per_day = models.SmallIntegerField(default=AUTO_TOP_UPS_PER_DAY, db_default=AUTO_TOP_UPS_PER_DAY)
    is_auto_top_up_paused = models.BooleanField(default=False, db_default=False)
    auto_top_up_halt = models.TextField(blank=True, default="", db_default="")
    news = models.BigIntegerField(default=0, db_default=0)
    customer_id = models.CharField(max_length=255, blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(held__gte=0), name="account_holds_nothing_negative"),
            models.CheckConstraint(condition=Q(balance__gte=F("held")), name="account_spendable_never_negative"),
            models.CheckConstraint(condition=Q(owed__gte=0), name="account_owes_nothing_negative"),
            models.CheckConstraint(condition=Q(unbilled_executions__gte=0), name="account_counts_nothing_negative"),
            models.CheckConstraint(condition=Q(low_balance_threshold__gte=0), name="account_low_from_zero_on"),
            models.CheckConstraint(
                condition=Q(auto_top_up_threshold__isnull=True, auto_top_up_amount__isnull=True)
                | Q(auto_top_up_threshold__gte=0, auto_top_up_amount__gt=0),
                name="account_auto_top_up_whole",
            ),
            models.CheckConstraint(condition=Q(auto_top_ups_per_day__gt=0), name="account_auto_top_ups_above_zero"),
        ]
        indexes = [
            # Who may be due an automatic top-up.
            models.Index(
                fields=["id"], condition=Q(auto_top_up_amount__isnull=False), name="account_buys_automatically"
            ),
        ]

    def __str__(self) -> str:
        """Name whose it is."""
        return self.user.get_username() if self.user else f"account {self.pk} of a user who is gone"

    @property
    def spendable(self) -> int:
        """What is not held for something under way."""
        return self.balance - self.held


def find_started_graph() -> Coalesce:
    """Return what `started_graph_id` is in the database."""
    return Coalesce("root_graph_id", "graph_id")


class LedgerEntry(models.Model):
    """One change of a balance, never changed itself. What it is about is named by id, and may be gone.

    `amount` is what the balance changed by, `owed` what remained unpaid (below zero: what was paid of it). The price
    of something used is therefore `owed - amount`. `sequence` numbers an account's entries from 1; `balance_after`
    and `owed_after` follow from the entry before. `quantity` is what the price was worked out from (seconds, items,
    US dollars), where it was known only afterwards. `price_version` is 0 for the price in the code. `graph_id` is the
    graph of `execution_id`; `root_graph_id` that of the run at the top of its tree, where that is another run.
    """

    key = models.CharField(max_length=MAX_KEY_LENGTH, unique=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="entries", db_index=False)
    sequence = models.BigIntegerField(editable=False)
    type = models.CharField(max_length=16, choices=EntryType.choices)
    amount = models.BigIntegerField()
    owed = models.BigIntegerField(default=0, db_default=0)
    balance_after = models.BigIntegerField(editable=False)
    owed_after = models.BigIntegerField(editable=False)
    created_at = models.DateTimeField(editable=False)
    execution_id = models.UUIDField(null=True)
    root_execution_id = models.UUIDField(null=True)
    graph_id = models.UUIDField(null=True)
    root_graph_id = models.UUIDField(null=True)
    graph_version = models.IntegerField(null=True)
    node_id = models.UUIDField(null=True)
    node_execution_id = models.UUIDField(null=True)
    block_id = models.CharField(max_length=MAX_BLOCK_ID_LENGTH, blank=True, default="", db_default="")
    price_version = models.IntegerField(null=True)
    price_type = models.CharField(max_length=16, blank=True, default="", db_default="")
    quantity = models.FloatField(null=True)
    reason = models.TextField(blank=True, default="", db_default="")
    actor_id = models.BigIntegerField(null=True)
    details = models.JSONField(default=dict, db_default={})

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "ledger entries"
        constraints = [
            # An account's history, newest first; the audit.
            models.UniqueConstraint(fields=["account", "sequence"], name="entry_number_once_per_account"),
            models.CheckConstraint(condition=Q(type__in=EntryType.values), name="entry_type_known"),
            models.CheckConstraint(condition=~Q(amount=0, owed=0), name="entry_changes_something"),
            models.CheckConstraint(
                condition=Q(type__in=["USAGE", "REFUND"], amount__lte=0, owed__gte=0)
                | Q(type__in=["TOP_UP", "GRANT"], amount__gt=0, owed=0)
                | Q(type="SETTLEMENT", amount__lt=0, owed=F("amount"))
                | Q(type="ADJUSTMENT", owed=0),
                name="entry_sign_fits_type",
            ),
        ]
        indexes = [
            # Summaries and exports of a span of time.
            models.Index(fields=["account", "created_at"], name="entry_by_time"),
            # The history without what runs used: it is grouped per run there.
            models.Index(
                fields=["account", "-sequence"],
                condition=~Q(type="USAGE") | Q(root_execution_id__isnull=True),
                name="entry_not_of_a_run",
            ),
            # What a run used, one by one.
            models.Index(
                fields=["root_execution_id", "-sequence"],
                condition=Q(root_execution_id__isnull=False),
                name="entry_of_run",
            ),
            # All users' sums of a span of time, in the admin and for reports. Entries lie in the order of their times,
            # so an index of ranges does, which costs an entry hardly anything.
            BrinIndex(fields=["created_at"], name="entry_of_all_by_time", pages_per_range=16, autosummarize=True),
            # The admin's list of what is rare.
            models.Index(fields=["type", "-id"], condition=~Q(type="USAGE"), name="entry_not_used"),
            # What a block used lately, for estimates.
            models.Index(
                fields=["block_id", "price_type", "-id"],
                condition=Q(quantity__isnull=False),
                name="entry_with_quantity",
            ),
            # What it cost lately, where that is no matter of a quantity.
            models.Index(
                fields=["block_id", "price_type", "-id"],
                condition=Q(price_type__in=["BYTE", "TOKENS"]),
                name="entry_without_quantity",
            ),
        ]

    def __str__(self) -> str:
        """Say what it is and how much."""
        return f"{self.type} {self.amount:+d}"

    @property
    def started_graph_id(self) -> UUID | None:
        """The graph of the run at the top of its tree: what its user has started."""
        return self.root_graph_id or self.graph_id


class Hold(models.Model):
    """Credits set aside for a node execution under way. It is gone when that has ended."""

    key = models.UUIDField(primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="holds")
    execution_id = models.UUIDField(db_index=True)
    root_execution_id = models.UUIDField(db_index=True)
    amount = models.BigIntegerField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="hold_above_zero")]

    def __str__(self) -> str:
        """Say how much it is and for what."""
        return f"{self.amount} for {self.key}"


class RunCost(models.Model):
    """What a run and its sub-runs used: the sum of their USAGE entries, kept by the ledger's trigger.

    `graph_id` is the run's own graph, whichever of them was charged first. `first_sequence` is the number of the first
    entry: where the run stands in the account's history.
    """

    root_execution_id = models.UUIDField(primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="run_costs", db_index=False)
    graph_id = models.UUIDField(null=True)
    cost = models.BigIntegerField()
    owed = models.BigIntegerField()
    entry_count = models.BigIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    first_sequence = models.BigIntegerField()

    class Meta:
        constraints = [
            # The history, newest first.
            models.UniqueConstraint(fields=["account", "first_sequence"], name="run_cost_in_history"),
        ]

    def __str__(self) -> str:
        """Say what was used."""
        return f"{self.cost} for {self.root_execution_id}"
