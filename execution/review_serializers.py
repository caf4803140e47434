"""What runs ask people, as the API shows it."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from execution.engine.statuses import Status
from execution.large_values import read
from execution.models import Review

REVIEW_STATUS_NAMES = ["WAITING", "APPROVED", "REJECTED", "CANCELLED"]


class FormField(serializers.JSONField):
    """A value as rows keep it (`large_values`), shown whole."""

    def to_representation(self, value: Any) -> Any:
        """Return the value itself."""
        return super().to_representation(read(value))


class ReviewSerializer(serializers.ModelSerializer[Review]):
    """A question that a run asks a person."""

    id = serializers.UUIDField(help_text="The question's id.")
    node_exec_id = serializers.UUIDField(source="node_execution_id", help_text="The node execution that asks.")
    node_id = serializers.UUIDField(source="node_execution.node_id", help_text="Its node.")
    graph_exec_id = serializers.UUIDField(source="node_execution.execution_id", help_text="Its run.")
    graph_id = serializers.UUIDField(
        source="node_execution.execution.graph_version.graph_id", help_text="The graph that is run."
    )
    graph_version = serializers.IntegerField(
        source="node_execution.execution.graph_version.version", help_text="The version that is run."
    )
    name = serializers.CharField(help_text="What is asked.")
    data = FormField(help_text="What it is about.")  # type: ignore[assignment]  # a name
    editable = serializers.BooleanField(help_text="Whether the person may change the data.")
    status = serializers.SerializerMethodField(help_text="What was decided.")
    decided_data = FormField(help_text="The data as the person left it.")
    message = serializers.CharField(help_text="What the person said.")
    created_at = serializers.DateTimeField(help_text="When it was asked.")
    decided_at = serializers.DateTimeField(allow_null=True, help_text="When it was decided.")

    class Meta:
        model = Review
        fields = [
            "id",
            "node_exec_id",
            "node_id",
            "graph_exec_id",
            "graph_id",
            "graph_version",
            "name",
            "data",
            "editable",
            "status",
            "decided_data",
            "message",
            "created_at",
            "decided_at",
        ]

    @extend_schema_field(serializers.ChoiceField(choices=REVIEW_STATUS_NAMES))
    def get_status(self, review: Review) -> str:
        """Return what was decided; CANCELLED where nobody did before the run ended."""
        if review.approved is None:
            return "WAITING" if review.node_execution.status == Status.REVIEW else "CANCELLED"
        return "APPROVED" if review.approved else "REJECTED"


class DecisionSerializer(serializers.Serializer[Any]):
    """What a person decides."""

    approved = serializers.BooleanField(help_text="Yes or no.")
    data = serializers.JSONField(  # type: ignore[assignment]  # a name, not the attribute
        required=False, allow_null=True, help_text="The data as the person left it; left out, it is unchanged."
    )
    message = serializers.CharField(default="", allow_blank=True, max_length=10_000, help_text="What to say about it.")
