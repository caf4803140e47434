"""Node executions as the API shows them. Names are those of AutoGPT's API."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from execution.bounds import PAGE, Allowance, Hidden
from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, PastAttempt
from execution.reporting import (
    describe_version,
    find_error,
    gather_inputs,
    gather_outputs,
    read_log,
    show_status,
)
from execution.row_serializers import RowSerializer

STATUS_NAMES = [status.value for status in Status if status is not Status.SUSPENDED]


def show_value(value: Any, *, url: str | None) -> Any:
    """Return the value, or what stands for one that is too large, and where it is shown whole."""
    return {"truncated": True, "bytes": value.bytes, "url": url} if isinstance(value, Hidden) else value


class PastAttemptSerializer(serializers.ModelSerializer[PastAttempt]):
    """An attempt that ended without ending its node execution."""

    number = serializers.IntegerField(help_text="Attempts count from 1.")
    outcome = serializers.ChoiceField(choices=PastAttempt.Outcome.values, help_text="Why it was over.")
    worker = serializers.CharField(help_text="Who made it.")
    error = serializers.CharField(help_text="What went wrong, if anything did.")
    began_at = serializers.DateTimeField(help_text="When it began.")
    ended_at = serializers.DateTimeField(help_text="When it was over.")

    class Meta:
        model = PastAttempt
        fields = ["number", "outcome", "worker", "error", "began_at", "ended_at"]


class NodeExecutionSerializer(RowSerializer[NodeExecution]):
    """One firing of a node. Its run is given as `context["run"]`, the room for values as `context["allowance"]`."""

    node_exec_id = serializers.UUIDField(source="id", help_text="The node execution's id.")
    graph_exec_id = serializers.UUIDField(source="execution_id", help_text="The run's id.")
    node_id = serializers.UUIDField(help_text="The node that fired.")
    block_id = serializers.SerializerMethodField(help_text="The node's block.")
    node_name = serializers.SerializerMethodField(help_text="What the node is called.")
    ordinal = serializers.IntegerField(help_text="Which firing of the node it is, from 0.")
    status = serializers.SerializerMethodField(help_text="How it stands.")
    input_data = serializers.SerializerMethodField(
        help_text="{pin: value}: constants, what links delivered, and the run's mask; large values as in `output_data`."
    )
    output_data = serializers.SerializerMethodField(
        help_text="{pin: [values]}; long lists are cut, large values are {truncated, bytes, url}: whole at the url."
    )
    output_count = serializers.IntegerField(help_text="How many values it has emitted.")
    error = serializers.SerializerMethodField(help_text="Why it failed.")
    attempt = serializers.IntegerField(help_text="How often it was begun.")
    losses = serializers.IntegerField(help_text="How many of its workers were lost.")
    worker = serializers.CharField(help_text="Who began it last.")
    sub_executions = serializers.SerializerMethodField(help_text="The sub-runs that it started.")
    reused_from = serializers.UUIDField(
        allow_null=True, help_text="Of a replay: the node execution whose outputs it has taken over; it has not run."
    )
    past_attempts = PastAttemptSerializer(
        source="read_attempts", many=True, help_text="Attempts that failed, were lost or were handed back."
    )
    log = serializers.SerializerMethodField(help_text="What its block logged, from the beginning.")
    next_attempt_at = serializers.SerializerMethodField(help_text="When it goes on: its next attempt, or its timer.")
    add_time = serializers.DateTimeField(source="opened_at", help_text="When its first input came.")
    queue_time = serializers.DateTimeField(source="queued_at", allow_null=True, help_text="When it became ready.")
    start_time = serializers.DateTimeField(source="started_at", allow_null=True, help_text="When it was first begun.")
    end_time = serializers.DateTimeField(source="ended_at", allow_null=True, help_text="When it ended.")
    walltime = serializers.FloatField(help_text="Seconds that its block ran.")
    cputime = serializers.FloatField(help_text="Seconds of processor time.")

    class Meta:
        model = NodeExecution
        fields = [
            "node_exec_id",
            "graph_exec_id",
            "node_id",
            "block_id",
            "node_name",
            "ordinal",
            "status",
            "input_data",
            "output_data",
            "output_count",
            "error",
            "sub_executions",
            "reused_from",
            "attempt",
            "losses",
            "worker",
            "past_attempts",
            "next_attempt_at",
            "add_time",
            "queue_time",
            "start_time",
            "end_time",
            "walltime",
            "cputime",
            "log",
        ]

    @property
    def _run(self) -> Execution:
        run: Execution = self.context["run"]
        return run

    @property
    def _allowance(self) -> Allowance:
        """All node executions of one answer share the room."""
        shared = cast(dict[str, Any], self.context)
        allowance: Allowance = shared.setdefault("allowance", Allowance(bounds=PAGE))
        return allowance

    def _show(self, value: Any, node_execution: NodeExecution) -> Any:
        """Return a value, or where it is shown whole."""
        if not isinstance(value, Hidden):
            return value
        parts = [self._run.graph_version.graph_id, self._run.pk, node_execution.pk]
        return show_value(
            value, url=reverse("execution:node-execution", args=parts, request=self.context.get("request"))
        )

    def get_block_id(self, node_execution: NodeExecution) -> str:
        """Return the block of its node."""
        node = describe_version(self._run).plan.nodes.get(node_execution.node_id)
        return node.block_id if node else ""

    def get_node_name(self, node_execution: NodeExecution) -> str:
        """Return what its node is called."""
        node = describe_version(self._run).plan.nodes.get(node_execution.node_id)
        return node.name if node else ""

    @extend_schema_field(serializers.ChoiceField(choices=STATUS_NAMES))
    def get_status(self, node_execution: NodeExecution) -> str:
        """Return how it stands."""
        return show_status(node_execution.status)

    def get_input_data(self, node_execution: NodeExecution) -> dict[str, Any]:
        """Return constants, overlaid by what links delivered, overlaid by the run's mask."""
        run = self._run
        inputs = gather_inputs(
            node_execution, plan=describe_version(run), masks=run.nodes_input_masks, allowance=self._allowance
        )
        return {pin: self._show(value, node_execution) for pin, value in inputs.items()}

    def get_output_data(self, node_execution: NodeExecution) -> dict[str, list[Any]]:
        """Return what it emitted."""
        outputs = gather_outputs(node_execution, allowance=self._allowance).items()
        return {pin: [self._show(value, node_execution) for value in values] for pin, values in outputs}

    def get_error(self, node_execution: NodeExecution) -> str | None:
        """Return why it failed."""
        return find_error(node_execution)

    def get_log(self, node_execution: NodeExecution) -> str:
        """Return what its block logged."""
        return read_log(node_execution, allowance=self._allowance)

    def get_next_attempt_at(self, node_execution: NodeExecution) -> datetime | None:
        """Return the time for which it waits, if it waits for one."""
        return node_execution.wake_at if node_execution.status == Status.SUSPENDED else None

    def get_sub_executions(self, node_execution: NodeExecution) -> list[UUID]:
        """Return the runs that it waits, or waited, for."""
        keys: list[UUID] = node_execution.sub_runs  # type: ignore[attr-defined] # `find_node_executions`
        return keys
