"""A run as a row, what is left of a deleted one, and the link by which others see outputs. Indexes name their users."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from execution.engine.statuses import Status
from graphs.models import GraphVersion, new_id
from graphs.ordered_json import OrderedJSONField

MAX_LABEL_LENGTH = 100

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
    `opened` counts all that were ever opened, `opened_before` those from before it was last resumed; `event_number`
    goes up with everything that is recorded.
    One that is not `admitted` waits until fewer runs of its user go on. A FAILED sub-run that `awaits_retry` goes on
    when what waits for it is tried again.
    `cost` (credits) is what it cost itself, without its sub-runs, `billed_executions` how many of its node executions
    were counted for the fee; with its sub-runs it may cost `max_cost`.
    Its limits of time count from `limits_from`, if that is after its start: when it was resumed, or last went on after
    it had waited for its turn or for credits.
    `input_data` are values by name, `nodes_input_masks` values by pin by node, `mocks` (simulated runs) what nodes
    emit, {pin: value or [values]}, by the id of the node or its block: all as rows keep them (`large_values`).
    `preset_id` and `schedule_id` say what it was started by, if it was; either may be gone.
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

    # What started it. No constraint: schedules are not this app's, and either may go before the run.
    preset_id = models.UUIDField(null=True, blank=True)
    schedule_id = models.UUIDField(null=True, blank=True)

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
    opened_before = models.PositiveIntegerField(default=0, db_default=0)
    awaits_retry = models.BooleanField(default=False, db_default=False)
    resumptions = models.PositiveIntegerField(default=0, db_default=0)
    node_count = models.PositiveIntegerField(default=0)
    node_error_count = models.PositiveIntegerField(default=0)
    output_count = models.PositiveIntegerField(default=0)
    event_number = models.PositiveBigIntegerField(default=0)
    nodes_walltime = models.FloatField(default=0.0)
    nodes_cputime = models.FloatField(default=0.0)

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    limits_from = models.DateTimeField(null=True)
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
                fields=["user", "id"],
                condition=Q(admitted=False, status__in=["QUEUED", "RUNNING"]),
                name="execution_not_admitted",
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


class DeletedRun(models.Model):
    """A run whose row is deleted, and whose node executions, outputs and files are not all cleared away yet.

    Nobody finds these: whatever is shown or used is found by way of its run.
    """

    execution_id = models.UUIDField(primary_key=True)
    # Below whom its files lie; the user may be gone.
    user_id = models.BigIntegerField()
    deleted_at = models.DateTimeField()

    def __str__(self) -> str:
        """Name the run."""
        return str(self.execution_id)


class ShareLink(models.Model):
    """Lets whoever holds its token see a run's outputs. `digest` is the token's SHA-256, in hex."""

    execution = models.OneToOneField(Execution, on_delete=models.CASCADE, primary_key=True, related_name="share_link")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        """Name the run."""
        return str(self.execution_id)
