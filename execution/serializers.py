"""Runs, node executions and reviews as the API shows them. Names are those of AutoGPT's API."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.reverse import reverse

from execution.bounds import PAGE, Allowance, Hidden
from execution.engine.statuses import Status
from execution.models import MAX_LABEL_LENGTH, Execution, NodeExecution, OnError, OnInsufficientCredits, PastAttempt
from execution.reporting import (
    describe_version,
    find_error,
    gather_inputs,
    gather_outputs,
    measure,
    read_log,
    show_outputs,
    show_run_status,
    show_status,
)

STATUS_NAMES = [status.value for status in Status if status is not Status.SUSPENDED]


def show_value(value: Any, *, url: str | None) -> Any:
    """Return the value, or what stands for one that is too large, and where it is shown whole."""
    return {"truncated": True, "bytes": value.bytes, "url": url} if isinstance(value, Hidden) else value


class StartSerializer(serializers.Serializer[Any]):
    """What a run is started with."""

    input_data = serializers.DictField(default=dict, help_text="The run's inputs by name. AutoGPT's `inputs` will do.")
    inputs = serializers.DictField(required=False, help_text="The same as `input_data`.")
    nodes_input_masks = serializers.DictField(
        child=serializers.DictField(), default=dict, help_text="{node id: {pin: value}}: what stands in for inputs."
    )
    max_duration = serializers.FloatField(
        required=False, min_value=0.001, help_text="Seconds after which the run fails, instead of what its graph asks."
    )
    on_error = serializers.ChoiceField(
        choices=OnError.choices,
        required=False,
        help_text="What a failed node does to the run, instead of what its graph asks.",
    )
    max_cost = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=10**12,
        help_text="Credits that the run and its sub-runs may cost; what would exceed them fails the run.",
    )
    on_insufficient_credits = serializers.ChoiceField(
        choices=OnInsufficientCredits.choices,
        default=OnInsufficientCredits.FAIL,
        help_text="Without credits for a node the run fails (`fail`), or waits and goes on after a top-up (`park`).",
    )
    dry_run = serializers.BooleanField(
        default=False, help_text="Simulate: blocks that need a network or credentials emit made-up values."
    )
    label = serializers.CharField(  # type: ignore[assignment]  # a name, not the attribute
        default="", allow_blank=True, max_length=MAX_LABEL_LENGTH, help_text="What to call the run, to find it again."
    )
    input_credentials = serializers.DictField(
        required=False, help_text="Empty: no block that can run here takes credentials. `credentials_inputs` will do."
    )
    credentials_inputs = serializers.DictField(required=False, help_text="The same as `input_credentials`.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take the inputs under either name."""
        for name in ("input_credentials", "credentials_inputs"):
            if attrs.pop(name, None):
                raise serializers.ValidationError({name: ["No block that can run here takes credentials."]})
        other_name = attrs.pop("inputs", None)
        if other_name is not None and attrs["input_data"]:
            raise serializers.ValidationError({"inputs": ["Give either `input_data` or `inputs`."]})
        return {**attrs, "input_data": other_name or attrs["input_data"]}


class ReplaySerializer(serializers.Serializer[Any]):
    """From where on a run is replayed."""

    node_execution_id = serializers.UUIDField(
        help_text="It runs again, and so does all that follows from it. Other completed node executions are reused."
    )
    graph_version = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="The version to run: that of the run, or a newer one.",
    )


class OriginSerializer(serializers.Serializer[Execution]):
    """What a run replays."""

    graph_exec_id = serializers.UUIDField(source="origin_id", help_text="The run that is replayed.")
    node_exec_id = serializers.UUIDField(
        source="origin_node_execution_id", help_text="The node execution from which on it is."
    )


class StatsSerializer(serializers.Serializer[Any]):
    """What a run took. Times are in seconds, the cost is in credits."""

    cost = serializers.IntegerField(help_text="Credits, its sub-runs included.")
    walltime = serializers.FloatField(help_text="From the first claim to the end, or until now.")
    cputime = serializers.FloatField(help_text="Processor time of its node executions and those of its sub-runs.")
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


class NodeExecutionSerializer(serializers.ModelSerializer[NodeExecution]):
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
    past_attempts = PastAttemptSerializer(many=True, help_text="Attempts that failed, were lost or were handed back.")
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

    def _address(self, node_execution: NodeExecution) -> str:
        """Return where its values are shown whole."""
        run = self._run
        parts = [run.graph_version.graph_id, run.pk, node_execution.pk]
        return reverse("execution:node-execution", args=parts, request=self.context.get("request"))

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
        run, url = self._run, self._address(node_execution)
        inputs = gather_inputs(
            node_execution, plan=describe_version(run), masks=run.nodes_input_masks, allowance=self._allowance
        )
        return {pin: show_value(value, url=url) for pin, value in inputs.items()}

    def get_output_data(self, node_execution: NodeExecution) -> dict[str, list[Any]]:
        """Return what it emitted."""
        url = self._address(node_execution)
        outputs = gather_outputs(node_execution, allowance=self._allowance).items()
        return {pin: [show_value(value, url=url) for value in values] for pin, values in outputs}

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
        return [child.pk for child in node_execution.children.all()]


class ExecutionDetailSerializer(ExecutionSerializer):
    """A run with its inputs, its outputs and its node executions.

    Those are in `context["node_executions"]`, one page of them; `context["node_executions_next"]` is where it goes on.
    """

    inputs = serializers.DictField(source="input_data", help_text="Its inputs by name.")
    nodes_input_masks = serializers.DictField(help_text="{node id: {pin: value}}: what stands in for inputs.")
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


class ExecutionChangeSerializer(serializers.Serializer[Any]):
    """What can be changed of a run."""

    label = serializers.CharField(allow_blank=True, max_length=MAX_LABEL_LENGTH, help_text="What to call it.")  # type: ignore[assignment]  # a name, not the attribute
