"""Values: what links delivered, what was emitted, what left the run, and what outlives runs."""

from typing import Final

from django.conf import settings
from django.db import models
from django.db.models import Q

from execution.models.node_executions import NodeExecution
from execution.models.runs import Execution
from graphs.ordered_json import OrderedJSONField

FEW_PINS: Final = 16
"""Up to so many pins are simply read; of a node execution that has more, only their number."""


class NodeInput(models.Model):
    """A value that a link delivered to a node execution that waits for more, or waited; it was the `number`th."""

    pk = models.CompositePrimaryKey("node_execution_id", "pin")
    node_execution = models.ForeignKey(
        NodeExecution, on_delete=models.CASCADE, related_name="later_inputs", db_index=False
    )
    pin = models.TextField()
    value = OrderedJSONField(null=True)
    number = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        indexes = [
            # How many pins a wide join has got.
            models.Index(
                fields=["node_execution", "number"], condition=Q(number__gt=FEW_PINS), name="node_input_count"
            ),
        ]


class Output(models.Model):
    """What a node execution emitted, numbered from 0. A repeated attempt doesn't write a position again.

    `recorded_at` never goes back within a run: its row is locked when something is recorded.
    """

    pk = models.CompositePrimaryKey("node_execution_id", "position")
    node_execution = models.ForeignKey(NodeExecution, on_delete=models.CASCADE, related_name="outputs", db_index=False)
    position = models.PositiveIntegerField()
    pin = models.TextField()
    value = OrderedJSONField(null=True)
    recorded_at = models.DateTimeField(
        db_default=models.Func(function="clock_timestamp", output_field=models.DateTimeField())
    )


class StaticValue(models.Model):
    """The newest value that a static link delivered to a pin (semantics, rule 5)."""

    pk = models.CompositePrimaryKey("execution_id", "node_id", "pin")
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="static_values", db_index=False)
    node_id = models.UUIDField()
    pin = models.TextField()
    value = OrderedJSONField(null=True)


class RunOutput(models.Model):
    """A value that left the run through an OUTPUT node, numbered in the order in which they left."""

    pk = models.CompositePrimaryKey("execution_id", "position")
    # No constraint, as with node executions.
    execution = models.ForeignKey(
        Execution, on_delete=models.CASCADE, related_name="outputs", db_index=False, db_constraint=False
    )
    position = models.PositiveIntegerField()
    name = models.TextField()
    value = OrderedJSONField(null=True)


class StoredValue(models.Model):
    """A value that outlives runs: per user (`graph` is null), or per user and graph."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False)
    graph = models.ForeignKey("graphs.Graph", on_delete=models.CASCADE, null=True, related_name="+")
    key = models.TextField()
    value = OrderedJSONField(null=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "graph", "key"], name="one_value_per_key", nulls_distinct=False),
        ]

    def __str__(self) -> str:
        """Name the key."""
        return self.key


class SimulatedValue(models.Model):
    """A value that a simulated run set in place of a `StoredValue`; only the tree of `execution`, its root, sees it."""

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="simulated_values", db_index=False)
    graph = models.ForeignKey("graphs.Graph", on_delete=models.CASCADE, null=True, related_name="+")
    key = models.TextField()
    value = OrderedJSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["execution", "graph", "key"], name="one_simulated_value_per_key", nulls_distinct=False
            ),
        ]

    def __str__(self) -> str:
        """Name the key."""
        return self.key
