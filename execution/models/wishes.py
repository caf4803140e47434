"""What runs are to be started with, kept for later."""

from django.db import models

from execution.models.runs import OnInsufficientCredits
from graphs.ordered_json import OrderedJSONField


class KeptWishes(models.Model):
    """What `services.start_execution` is given, as rows keep it that start runs later: presets, schedules."""

    input_data = OrderedJSONField(default=dict)
    nodes_input_masks = OrderedJSONField(default=dict)
    max_cost = models.BigIntegerField(null=True, blank=True)
    on_insufficient_credits = models.CharField(
        max_length=8,
        choices=OnInsufficientCredits.choices,
        default=OnInsufficientCredits.FAIL,
        db_default=OnInsufficientCredits.FAIL,
    )
    # References, never credentials themselves.
    input_credentials = OrderedJSONField(default=dict)

    class Meta:
        abstract = True
