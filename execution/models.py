"""Runs as rows. A row is the truth; a message about it is a hint.

Values are kept in the `json` type (see `graphs.ordered_json`): the order of an object's keys is part of the value.
Names of indexes say who uses them.
"""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from execution.engine.statuses import Status
from graphs.models import GraphVersion, new_id
from graphs.ordered_json import OrderedJSONField

MAX_LABEL_LENGTH = 100
MAX_PRESET_NAME_LENGTH = 200

STATUS_CHOICES = [(status.value, status.value.capitalize()) for status in Status]


class OnError(models.TextChoices):
    """What a failed node does to its run."""

    CONTINUE = "continue"
    FAIL_RUN = "fail_run"


class OnInsufficientCredits(models.TextChoices):
    """What happens to a run when its user can't pay for a node any more."""

    FAIL = "fail"
    PARK = "park"


class Execution(models.Model):
    """One execution of a graph version for a user. Its row's lock is the run's serial history.

    `unfinished` counts its node executions that are queued, running or suspended: at 0 the run has ended.
    `opened` counts all that were ever opened; `event_number` goes up with everything that is recorded.
    One that is not `admitted` waits until fewer runs of its user go on.
    `cost` (credits) is what it cost itself, without its sub-runs, `billed_executions` how many of its node executions
    were counted for the fee; with its sub-runs it may cost `max_cost`.
    `mocks` (simulated runs) maps a node id or block id to what it emits: {pin: value or [values]}.
    `max_duration` (seconds from the first claim) and `idle_limit` (seconds since something was last recorded) end it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_index=False)
    graph_version = models.ForeignKey(GraphVersion, on_delete=models.CASCADE, db_index=False)
    status = models.CharField(max_length=16, choices=STATUS_CHOICES, default=Status.QUEUED)
    # What its user calls it, to find it again.
    label = models.CharField(max_length=MAX_LABEL_LENGTH, blank=True, default="", db_default="")
    input_data = OrderedJSONField(default=dict)
    nodes_input_masks = OrderedJSONField(default=dict)
    simulate = models.BooleanField(default=False)
    mocks = OrderedJSONField(default=dict)
    on_error = models.CharField(max_length=16, choices=OnError.choices, default=OnError.CONTINUE)
    admitted = models.BooleanField(default=True, db_default=True)
    max_node_executions = models.PositiveIntegerField()
    max_duration = models.FloatField(null=True)
    idle_limit = models.FloatField(null=True)

    # A sub-run: the node execution that waits for it, which of its waits it is, and the run at the top of the tree.
    parent = models.ForeignKey(
        "NodeExecution", on_delete=models.CASCADE, null=True, related_name="children", db_index=False
    )
    parent_wait = models.PositiveIntegerField(default=0)
    root = models.ForeignKey("self", on_delete=models.CASCADE, null=True, related_name="descendants")
    depth = models.PositiveSmallIntegerField(default=0)

    # A replay: the run that it replays (null if that was pruned), and from which of its node executions.
    origin = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="replays", db_index=False
    )
    origin_node_execution_id = models.UUIDField(null=True, blank=True)

    cost = models.BigIntegerField(default=0, db_default=0)
    billed_executions = models.PositiveIntegerField(default=0, db_default=0)
    max_cost = models.BigIntegerField(null=True)
    on_insufficient_credits = models.CharField(
        max_length=8,
        choices=OnInsufficientCredits.choices,
        default=OnInsufficientCredits.FAIL,
        db_default=OnInsufficientCredits.FAIL,
    )
    unfinished = models.PositiveIntegerField(default=0)
    opened = models.PositiveIntegerField(default=0)
    resumptions = models.PositiveIntegerField(default=0, db_default=0)
    node_count = models.PositiveIntegerField(default=0)
    node_error_count = models.PositiveIntegerField(default=0)
    output_count = models.PositiveIntegerField(default=0)
    event_number = models.PositiveBigIntegerField(default=0)
    nodes_walltime = models.FloatField(default=0.0)
    nodes_cputime = models.FloatField(default=0.0)

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    recorded_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    warnings = OrderedJSONField(default=list)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["user", "-id"], name="execution_list_of_user"),
            models.Index(fields=["graph_version", "-id"], name="execution_list_of_version"),
            models.Index(fields=["user", "label", "-id"], condition=~Q(label=""), name="execution_list_of_label"),
            # How many runs of a user go on, and which wait their turn.
            models.Index(
                fields=["user"],
                condition=Q(parent__isnull=True, admitted=True, status__in=["QUEUED", "RUNNING"]),
                name="execution_active_of_user",
            ),
            models.Index(
                fields=["user", "id"], condition=Q(admitted=False, status="QUEUED"), name="execution_not_admitted"
            ),
            # Recovery: runs that may have to be ended for their time.
            models.Index(
                fields=["id"],
                condition=Q(status__in=["QUEUED", "RUNNING"]) & (Q(max_duration__gt=0) | Q(idle_limit__gt=0)),
                name="execution_with_time_limits",
            ),
            # Pruning: replays of runs that go.
            models.Index(fields=["origin"], condition=Q(origin__isnull=False), name="execution_replays"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["parent", "parent_wait"], condition=Q(parent__isnull=False), name="one_sub_run_per_wait"
            ),
            models.CheckConstraint(condition=Q(status__in=[s.value for s in Status]), name="execution_status_known"),
            models.CheckConstraint(
                condition=Q(status__in=["QUEUED", "RUNNING"]) | Q(ended_at__isnull=False),
                name="execution_ended_has_time",
            ),
        ]

    def __str__(self) -> str:
        """Say which run and how it stands."""
        return f"{self.pk} {self.status}"


class NodeExecution(models.Model):
    """One firing of a node. `ordinal` numbers the firings of one node in the order in which they were opened.

    `inputs` is what it was opened with, if that made it ready; what else links delivered is in `NodeInput`. `token`
    is drawn by the attempt that claimed it: only who holds it may record. `waits` counts the suspensions that it has
    gone into, `losses` the attempts whose worker was lost. `queue` is where its messages go, `worker` who claimed it
    last, at `claimed_at`; `started_at` is when it was first claimed. One that is QUEUED and `held_back` has no message
    yet: its run has enough of them in the broker. `reused_from` is the node execution of the origin (there may be none
    any more) whose outputs a replay has taken over instead of running it. `is_paid`: its block may cost something.
    `needs_credits`: it was not run because there were not so many.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="node_executions", db_index=False)
    node_id = models.UUIDField()
    ordinal = models.PositiveIntegerField()
    status = models.CharField(max_length=16, choices=STATUS_CHOICES)
    queue = models.CharField(max_length=8)
    held_back = models.BooleanField(default=False, db_default=False)
    inputs = OrderedJSONField(default=dict)
    worker = models.CharField(max_length=200, blank=True, default="", db_default="")
    losses = models.PositiveSmallIntegerField(default=0, db_default=0)
    attempt = models.PositiveSmallIntegerField(default=0, db_default=0)
    token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    output_count = models.PositiveIntegerField(default=0, db_default=0)
    waits = models.PositiveIntegerField(default=0, db_default=0)
    wake_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField()
    queued_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    claimed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    walltime = models.FloatField(default=0.0, db_default=0.0)
    cputime = models.FloatField(default=0.0, db_default=0.0)
    log = models.TextField(blank=True, default="", db_default="")
    reused_from = models.UUIDField(null=True, blank=True)
    is_paid = models.BooleanField(default=False, db_default=False)
    needs_credits = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            # Recovery: what waits for credits.
            models.Index(
                fields=["id"],
                condition=Q(status="SUSPENDED", needs_credits__isnull=False),
                name="node_execution_parked",
            ),
            # Who is the head of a node; which executions wait for pins.
            models.Index(
                fields=["execution", "node_id", "ordinal"],
                condition=Q(status__in=["QUEUED", "RUNNING", "SUSPENDED", "REVIEW"]),
                name="node_execution_unfinished",
            ),
            models.Index(
                fields=["execution", "node_id", "ordinal"],
                condition=Q(status="INCOMPLETE"),
                name="node_execution_waiting",
            ),
            # A run's window: what it has in the broker, and what is next.
            models.Index(
                fields=["execution", "queue"], condition=Q(status="QUEUED", held_back=False), name="node_execution_sent"
            ),
            models.Index(
                fields=["execution", "queue", "id"],
                condition=Q(status="QUEUED", held_back=True),
                name="node_execution_held_back",
            ),
            # A run's node executions, a page at a time.
            models.Index(fields=["execution", "id"], name="node_execution_list"),
            # Recovery: timers that are due, leases that have run out, promises that are old.
            models.Index(fields=["wake_at"], condition=Q(status="SUSPENDED"), name="node_execution_asleep"),
            models.Index(fields=["id"], condition=Q(status="RUNNING"), name="node_execution_running"),
            models.Index(
                fields=["queue", "queued_at"],
                condition=Q(status="QUEUED", held_back=False),
                name="node_execution_in_queue",
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["execution", "node_id", "ordinal"], name="ordinal_once_per_node"),
            models.CheckConstraint(
                condition=Q(status__in=[s.value for s in Status]), name="node_execution_status_known"
            ),
            models.CheckConstraint(
                condition=~Q(status="RUNNING") | Q(token__isnull=False, lease_until__isnull=False),
                name="running_has_a_lease",
            ),
        ]

    def __str__(self) -> str:
        """Say which firing of which node and how it stands."""
        return f"{self.node_id}#{self.ordinal} {self.status}"


class PastAttempt(models.Model):
    """An attempt that ended without ending its node execution: it failed and is tried again, or was lost.

    The last attempt is told by the node execution itself. `outcome` is a `PastAttempt.Outcome`.
    """

    class Outcome(models.TextChoices):
        """Why an attempt was over."""

        FAILED = "FAILED"
        LOST = "LOST"
        HANDED_BACK = "HANDED_BACK"
        STOPPED = "STOPPED"

    node_execution = models.ForeignKey(NodeExecution, on_delete=models.CASCADE, related_name="past_attempts")
    number = models.PositiveSmallIntegerField()
    outcome = models.CharField(max_length=16, choices=Outcome.choices)
    worker = models.CharField(max_length=200, blank=True)
    error = models.TextField(blank=True)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        """Say which attempt and how it was over."""
        return f"attempt {self.number}: {self.outcome}"


class QueueProbe(models.Model):
    """What is known of a queue by probes: messages that travel it, first in, first out, like all others.

    A probe was last sent at `sent_at`. Of those that have come out, the newest was sent at `passed`; that became known
    at `passed_at`. So every message that was sent before `passed` has come out too, or is lost.
    """

    queue = models.CharField(max_length=8, primary_key=True)
    sent_at = models.DateTimeField(null=True)
    passed = models.DateTimeField(null=True)
    passed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        """Name the queue."""
        return self.queue


class NodeInput(models.Model):
    """A value that a link delivered to a node execution that waits for more, or waited."""

    pk = models.CompositePrimaryKey("node_execution_id", "pin")
    node_execution = models.ForeignKey(
        NodeExecution, on_delete=models.CASCADE, related_name="later_inputs", db_index=False
    )
    pin = models.TextField()
    value = OrderedJSONField(null=True)


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
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="outputs", db_index=False)
    position = models.PositiveIntegerField()
    name = models.TextField()
    value = OrderedJSONField(null=True)


class Review(models.Model):
    """A question that a node execution asked a person; `approved` is None until somebody decides."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    node_execution = models.ForeignKey(NodeExecution, on_delete=models.CASCADE, related_name="reviews", db_index=False)
    wait = models.PositiveIntegerField()
    name = models.TextField()
    data = OrderedJSONField(null=True)
    editable = models.BooleanField(default=True)
    approved = models.BooleanField(null=True)
    decided_data = OrderedJSONField(null=True)
    message = models.TextField(blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["node_execution", "wait"], name="one_review_per_wait"),
            models.CheckConstraint(
                condition=Q(approved__isnull=True) ^ Q(decided_at__isnull=False), name="review_decided_has_time"
            ),
        ]

    def __str__(self) -> str:
        """Say what was asked."""
        return self.name


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


class Preset(models.Model):
    """Inputs for a graph, kept under a name to be run with again. Without a version the graph's active one is run."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    graph = models.ForeignKey("graphs.Graph", on_delete=models.CASCADE, related_name="+")
    graph_version = models.PositiveIntegerField(null=True)
    name = models.CharField(max_length=MAX_PRESET_NAME_LENGTH)
    description = models.TextField(blank=True)
    input_data = OrderedJSONField(default=dict)
    nodes_input_masks = OrderedJSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["user", "-id"], name="preset_list_of_user")]

    def __str__(self) -> str:
        """Name the preset."""
        return self.name


class ShareLink(models.Model):
    """Lets whoever holds its token see a run's outputs. `digest` is the token's SHA-256, in hex."""

    execution = models.OneToOneField(Execution, on_delete=models.CASCADE, primary_key=True, related_name="share_link")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        """Name the run."""
        return str(self.execution_id)
