"""Prices that an admin has set: newer than the code's, without a deploy."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from credits.models.ledger import MAX_BLOCK_ID_LENGTH


class BlockPrice(models.Model):
    """What a block costs from some time on, instead of what its code says. The newest version holds.

    `costs` is a list of costs (see `credits.pricing`); null goes back to the code's.
    """

    block_id = models.CharField(max_length=MAX_BLOCK_ID_LENGTH)
    version = models.IntegerField(editable=False)
    costs = models.JSONField(null=True, blank=True)
    charge_on_failure = models.BooleanField(
        null=True, blank=True, help_text="Whether failed attempts are charged; unknown: as the block's code says."
    )
    reason = models.TextField()
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["block_id", "-version"]
        constraints = [
            models.UniqueConstraint(fields=["block_id", "version"], name="price_version_once_per_block"),
            models.CheckConstraint(condition=Q(version__gte=1), name="price_version_from_1"),
        ]

    def __str__(self) -> str:
        """Name the block and the version."""
        return f"{self.block_id} v{self.version}"
