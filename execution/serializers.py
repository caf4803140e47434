"""Runs as the API shows them. Names are those of AutoGPT's API."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from execution.bounds import SINGLE, Allowance
from execution.models import Execution
from execution.node_execution_serializers import STATUS_NAMES, NodeExecutionSerializer, show_value
from execution.reporting import (
    measure,
    show_outputs,
    show_run_status,
)


class OriginSerializer(serializers.Serializer[Execution]):
    """What a run replays."""

    graph_exec_id = serializers.UUIDField(source="origin_id", help_text="The run that is replayed.")
    node_exec_id = serializers.UUIDField(
        source="origin_node_execution_id", help_text="The node execution from which on it is."
    )


class StatsSerializer(serializers.Serializer[Any]):
    """What a run took. Times are in seconds, the cost is in credits."""

    cost = serializers.IntegerField(help_text="Credits, of its sub-runs as well, and of theirs.")
    walltime = serializers.FloatField(help_text="From the first claim to the end, or until now.")
    cputime = serializers.FloatField(help_text="Processor time of its node executions; added up like the cost.")
    nodes_walltime = serializers.FloatField(help_text="Sum over its node executions.")
    nodes_cputime = serializers.FloatField(help_text="Sum over its node executions.")
    node_count = serializers.IntegerField(help_text="Node executions that ended.")
    node_error_count = serializers.IntegerField(help_text="Those of them that failed.")
    error = serializers.CharField(allow_null=True, help_text="Why it failed.")
    activity_status = serializers.CharField(help_text="How the run stands, in one sentence.")


class ExecutionSerializer(serializers.ModelSerializer[Execution]):
    """A run in a list."""

    id = serializers.UUIDField(help_text="The run's id.")
    user_id = serializers.IntegerField(help_text="Whose it is.")
    graph_id = serializers.UUIDField(source="graph_version.graph_id", help_text="The graph that is run.")
    graph_version = serializers.IntegerField(source="graph_version.version", help_text="The version that is run.")
    status = serializers.SerializerMethodField(help_text="How it stands.")
    label = serializers.CharField(help_text="What its user calls it; may be empty.")  # type: ignore[assignment]
    dry_run = serializers.BooleanField(source="simulate", help_text="Whether it is simulated.")
    parent_node_exec_id = serializers.UUIDField(
        source="parent_id", allow_null=True, help_text="Of a sub-run: the node execution that waits for it."
    )
    origin = serializers.SerializerMethodField(
        help_text="Of a replay: the run that it replays, and from which node execution on; null once that was pruned."
    )
    preset_id = serializers.UUIDField(
        allow_null=True, help_text="The preset that it was started with, which may be gone; null if with none."
    )
    schedule_id = serializers.UUIDField(
        allow_null=True, help_text="The schedule that has started it, which may be gone; null if none has."
    )
    created_at = serializers.DateTimeField(help_text="When it was asked for.")
    started_at = serializers.DateTimeField(allow_null=True, help_text="When its first node execution was begun.")
    ended_at = serializers.DateTimeField(allow_null=True, help_text="When it ended.")
    stats = serializers.SerializerMethodField(help_text="What it took.")
    notice = serializers.CharField(
        required=False, help_text="Only where a run was accepted that can't start yet: why. Header: Execution-Delivery."
    )

    class Meta:
        model = Execution
        fields = [
            "id",
            "user_id",
            "graph_id",
            "graph_version",
            "status",
            "label",
            "dry_run",
            "parent_node_exec_id",
            "origin",
            "preset_id",
            "schedule_id",
            "created_at",
            "started_at",
            "ended_at",
            "stats",
            "notice",
        ]

    @extend_schema_field(serializers.ChoiceField(choices=STATUS_NAMES))
    def get_status(self, run: Execution) -> str:
        """Return how it stands."""
        return show_run_status(run)

    @extend_schema_field(OriginSerializer(allow_null=True))
    def get_origin(self, run: Execution) -> dict[str, Any] | None:
        """Return what it replays."""
        return dict(OriginSerializer(run).data) if run.origin_id else None

    @extend_schema_field(StatsSerializer)
    def get_stats(self, run: Execution) -> dict[str, Any]:
        """Return what it took."""
        return measure(run)


class WarningSerializer(serializers.Serializer[Any]):
    """A node execution that never got all of its inputs."""

    node_id = serializers.UUIDField(help_text="Its node.")
    node_execution_id = serializers.UUIDField(help_text="The node execution.")
    lacking_pins = serializers.ListField(child=serializers.CharField(), help_text="The pins that got no value.")
    message = serializers.CharField(help_text="The same in a sentence.")


class ExecutionDetailSerializer(ExecutionSerializer):
    """A run with its inputs, its outputs and its node executions.

    Those are in `context["node_executions"]`, one page of them; `context["node_executions_next"]` is where it goes on.
    """

    inputs = serializers.SerializerMethodField(help_text="Its inputs by name; large values as in `outputs`.")
    nodes_input_masks = serializers.SerializerMethodField(
        help_text="{node id: {pin: value}}: what stands in for inputs."
    )
    outputs = serializers.SerializerMethodField(
        help_text="{name: [values]}, in the order in which they left; `output_count` tells whether these are all."
    )
    output_count = serializers.IntegerField(help_text="How many outputs there are.")
    warnings = WarningSerializer(many=True, help_text="Node executions that never got all of their inputs.")
    error = serializers.SerializerMethodField(help_text="Why it failed.")
    node_executions = serializers.SerializerMethodField(help_text="The first of its node executions, oldest first.")
    node_executions_next = serializers.SerializerMethodField(help_text="Where the others are; null if these are all.")

    class Meta(ExecutionSerializer.Meta):
        fields = [
            *ExecutionSerializer.Meta.fields,
            "inputs",
            "nodes_input_masks",
            "outputs",
            "output_count",
            "warnings",
            "error",
            "node_executions",
            "node_executions_next",
        ]

    def get_inputs(self, run: Execution) -> dict[str, Any]:
        """Return what it was given."""
        return _show_forms(run.input_data, Allowance(bounds=SINGLE))

    def get_nodes_input_masks(self, run: Execution) -> dict[str, dict[str, Any]]:
        """Return {node id: {pin: value}}."""
        allowance = Allowance(bounds=SINGLE)
        return {node: _show_forms(mask, allowance) for node, mask in run.nodes_input_masks.items()}

    def get_outputs(self, run: Execution) -> dict[str, list[Any]]:
        """Return {name: [values]}; `output_count` tells whether the lists are complete."""
        return {name: [show_value(value, url=None) for value in values] for name, values in show_outputs(run).items()}

    def get_error(self, run: Execution) -> str | None:
        """Return why it failed."""
        return run.error or None

    @extend_schema_field(NodeExecutionSerializer(many=True))
    def get_node_executions(self, run: Execution) -> Any:
        """Return the first of its node executions."""
        context = {"run": run, "request": self.context.get("request")}
        return NodeExecutionSerializer(self.context["node_executions"], many=True, context=context).data

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_node_executions_next(self, run: Execution) -> str | None:
        """Return where the others are; null if these are all."""
        del run
        following: str | None = self.context["node_executions_next"]
        return following


def _show_forms(forms: Mapping[str, Any], allowance: Allowance) -> dict[str, Any]:
    """Return values from the forms that rows keep."""
    return {name: show_value(allowance.read(form), url=None) for name, form in forms.items()}


class SharedExecutionSerializer(serializers.ModelSerializer[Execution]):
    """What people who have a run's link see of it."""

    id = serializers.UUIDField(help_text="The run's id.")
    graph_name = serializers.CharField(source="graph_version.name", help_text="What the graph is called.")
    graph_description = serializers.CharField(source="graph_version.description", help_text="What it is for.")
    status = serializers.SerializerMethodField(help_text="How the run stands.")
    created_at = serializers.DateTimeField(help_text="When it was asked for.")
    ended_at = serializers.DateTimeField(allow_null=True, help_text="When it ended.")
    outputs = serializers.SerializerMethodField(help_text="{name: [values]}, in the order in which they left.")

    class Meta:
        model = Execution
        fields = ["id", "graph_name", "graph_description", "status", "created_at", "ended_at", "outputs"]

    @extend_schema_field(serializers.ChoiceField(choices=STATUS_NAMES))
    def get_status(self, run: Execution) -> str:
        """Return how it stands."""
        return show_run_status(run)

    def get_outputs(self, run: Execution) -> dict[str, list[Any]]:
        """Return {name: [values]}."""
        return {name: [show_value(value, url=None) for value in values] for name, values in show_outputs(run).items()}
