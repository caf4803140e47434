"""Money that comes in and goes back, and what users are told."""

from typing import Final
from uuid import UUID

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from credits.models.ledger import Account

MAX_PROVIDER_ID_LENGTH: Final = 255


def new_id() -> UUID:
    """Return an id that sorts by the time it was made."""
    return uuid7()


class TopUpKind(models.TextChoices):
    """Who pays: the user at a checkout page, or their saved card by itself."""

    CHECKOUT = "CHECKOUT"
    AUTO = "AUTO"


class TopUpStatus(models.TextChoices):
    """How a top-up stands. Only a PAID one has an entry in the ledger."""

    PENDING = "PENDING"
    PAID = "PAID"
    FAILED = "FAILED"


class TopUp(models.Model):
    """A payment, from when it is asked for. `payment_id` is what the provider calls the payment itself.

    An AUTO one is made by the ledger's trigger when a balance falls below what its user has set. `tried_at` is when we
    last turned to the provider about it; an AUTO one has its `payment_id` before it is charged.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="top_ups")
    kind = models.CharField(max_length=16, choices=TopUpKind.choices)
    status = models.CharField(max_length=16, choices=TopUpStatus.choices, default=TopUpStatus.PENDING)
    amount = models.BigIntegerField()
    session_id = models.CharField(max_length=MAX_PROVIDER_ID_LENGTH, null=True, blank=True, unique=True)
    payment_id = models.CharField(max_length=MAX_PROVIDER_ID_LENGTH, null=True, blank=True, unique=True)
    error = models.TextField(blank=True, default="", db_default="")
    tried_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="top_up_above_zero"),
            models.CheckConstraint(condition=~Q(status="PAID") | Q(payment_id__isnull=False), name="top_up_paid_by"),
            models.UniqueConstraint(
                fields=["account"], condition=Q(kind="AUTO", status="PENDING"), name="one_auto_top_up_under_way"
            ),
        ]
        indexes = [
            # The newest automatic one.
            models.Index(fields=["account", "-created_at"], condition=Q(kind="AUTO"), name="top_up_auto_by_time"),
            # How many automatic ones were charged lately; those under way come first.
            models.Index(fields=["account", "-ended_at"], condition=Q(kind="AUTO"), name="top_up_auto_by_end"),
            # Recovery: automatic ones that nobody has tried lately.
            models.Index(fields=["id"], condition=Q(kind="AUTO", status="PENDING"), name="top_up_auto_pending"),
            # Recovery: pages of whose payment nobody has told yet.
            models.Index(fields=["id"], condition=Q(kind="CHECKOUT", status="PENDING"), name="top_up_checkout_pending"),
        ]

    def __str__(self) -> str:
        """Say how much, and how it stands."""
        return f"{self.amount} {self.status}"


class ReversalKind(models.TextChoices):
    """Who wanted the money back: a refund is ours, a dispute the customer's bank's."""

    REFUND = "REFUND"
    DISPUTE = "DISPUTE"


class ReversalStage(models.IntegerChoices):
    """How far the money has gone. News come in any order; the furthest stage counts."""

    OPEN = 0
    GONE = 1
    BACK = 2


class Reversal(models.Model):
    """Money of a top-up that goes back, or comes back to us after all. Its id is the provider's."""

    id = models.CharField(primary_key=True, max_length=MAX_PROVIDER_ID_LENGTH)
    top_up = models.ForeignKey(TopUp, on_delete=models.PROTECT, related_name="reversals")
    kind = models.CharField(max_length=16, choices=ReversalKind.choices)
    amount = models.BigIntegerField()
    stage = models.SmallIntegerField(choices=ReversalStage.choices, default=ReversalStage.OPEN)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="reversal_above_zero"),
            models.CheckConstraint(condition=Q(stage__in=ReversalStage.values), name="reversal_stage_known"),
        ]

    def __str__(self) -> str:
        """Say how much, and how far it is."""
        return f"{self.kind} of {self.amount}: {self.get_stage_display()}"


class RefundStatus(models.TextChoices):
    """How a refund request stands. APPROVED: the money is on its way; REFUNDED: it has left."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    REFUNDED = "REFUNDED"


class RefundRequest(models.Model):
    """A user wants the money of a top-up back. One per user and ISO week (that of the top-up).

    Without a week it is a refund that an admin made unasked, of the whole or a part.
    `attempt` counts approvals. Each is sent once; `failed_orders` is how often that is known to have come to nothing,
    so that it is ordered anew. `tried_at` is when it was last sent.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="refund_requests", db_index=False)
    top_up = models.ForeignKey(TopUp, on_delete=models.PROTECT, related_name="refund_requests")
    iso_week = models.CharField(max_length=8, null=True, blank=True)
    amount = models.BigIntegerField()
    reason = models.TextField()
    status = models.CharField(max_length=16, choices=RefundStatus.choices, default=RefundStatus.PENDING)
    result = models.TextField(blank=True, default="", db_default="")
    refund_id = models.CharField(max_length=MAX_PROVIDER_ID_LENGTH, null=True, blank=True, unique=True)
    decided_by_id = models.BigIntegerField(null=True, blank=True)
    attempt = models.IntegerField(default=0, db_default=0)
    failed_orders = models.IntegerField(default=0, db_default=0)
    tried_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "iso_week"], name="one_refund_request_per_week"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="refund_above_zero"),
        ]
        indexes = [
            # Recovery: those of which the provider has not told yet that it has them, or has sent the money.
            models.Index(fields=["id"], condition=Q(status="APPROVED"), name="refund_under_way"),
        ]

    def __str__(self) -> str:
        """Say how much, and how it stands."""
        return f"{self.amount} {self.status}"


class NoticeKind(models.TextChoices):
    """What a user is told."""

    LOW_BALANCE = "LOW_BALANCE"
    OUT_OF_CREDITS = "OUT_OF_CREDITS"
    AUTO_TOP_UP_FAILED = "AUTO_TOP_UP_FAILED"
    AUTO_TOP_UP_PAUSED = "AUTO_TOP_UP_PAUSED"
    REFUND_REQUESTED = "REFUND_REQUESTED"


class Notice(models.Model):
    """Something to tell, written in the transaction in which it happened; told after it, once."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="notices", db_index=False)
    kind = models.CharField(max_length=32, choices=NoticeKind.choices)
    balance = models.BigIntegerField()
    text = models.TextField(blank=True, default="", db_default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    told_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            # What is still to be told.
            models.Index(fields=["account", "id"], condition=Q(told_at__isnull=True), name="notice_untold"),
        ]

    def __str__(self) -> str:
        """Say what."""
        return f"{self.kind} at {self.balance}"
