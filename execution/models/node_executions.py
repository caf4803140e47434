"""The firings of a run's nodes, their attempts, the questions that they ask, and what is known of their queues."""

from django.conf import settings
from django.db import models
from django.db.models import Case, Q, When

from execution.engine.statuses import Status
from execution.models.runs import STATUS_CHOICES, Execution
from graphs.models import new_id
from graphs.ordered_json import OrderedJSONField


class NodeExecution(models.Model):
    """One firing of a node. `ordinal` numbers the firings of one node in the order in which they were opened.

    `inputs` is what it was opened with, if that made it ready; what else links delivered is in `NodeInput`. `token` is
    drawn by the attempt that claimed it: only who holds it may record. `waits` counts the suspensions that it has gone
    into, `losses` the attempts whose worker was lost; `suspicions` counts the worker processes that died while it was
    one of several that ran there, nobody knows why. `queue` is where its messages go; `is_backlog`: the last one went
    to the queue for backlogs. `worker` is who claimed it last, at `claimed_at`; `started_at` is when it was first
    claimed. One that is QUEUED and `held_back` has no message yet: its tree of runs, by whose first run `tree_id` calls
    it, has enough of them in the broker. One that has a message and `is_shared` may be taken by who goes on in its run
    all the same. `reused_from` is the node execution of the origin (there may be none any more)
    whose outputs a replay has taken over instead of running it.
    `is_paid`: its block may cost something. `needs_credits`: it was not run because there were not so many. `spent` is
    what it has used before the waits that it has been through, since it last failed: {seconds, items, usd, tokens}.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # No constraint: a run is deleted with its row, and cleared away after it (`DeletedRun`).
    execution = models.ForeignKey(
        Execution, on_delete=models.CASCADE, related_name="node_executions", db_index=False, db_constraint=False
    )
    tree_id = models.UUIDField()
    node_id = models.UUIDField()
    ordinal = models.PositiveIntegerField()
    status = models.CharField(max_length=16, choices=STATUS_CHOICES)
    queue = models.CharField(max_length=8)
    held_back = models.BooleanField(default=False, db_default=False)
    is_backlog = models.BooleanField(default=False, db_default=False)
    is_shared = models.BooleanField(default=False, db_default=False)
    inputs = OrderedJSONField(default=dict)
    worker = models.CharField(max_length=200, blank=True, default="", db_default="")
    losses = models.PositiveSmallIntegerField(default=0, db_default=0)
    suspicions = models.PositiveSmallIntegerField(default=0, db_default=0)
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
    spent = OrderedJSONField(null=True)

    class Meta:
        ordering = ["id"]
        indexes = [
            # Recovery: what waits for credits.
            models.Index(
                fields=["id"],
                condition=Q(status="SUSPENDED", needs_credits__isnull=False),
                name="node_execution_parked",
            ),
            # Who is the head of a node.
            models.Index(
                fields=["execution", "node_id", "ordinal"],
                condition=Q(status__in=["QUEUED", "RUNNING", "SUSPENDED", "REVIEW"]),
                name="node_execution_unfinished",
            ),
            # Which executions wait for pins.
            models.Index(
                # An expression, so that who asks for what waits is given this index and no other: by its run alone
                # PostgreSQL would rather read the whole run, whenever it takes runs for small.
                Case(When(status="INCOMPLETE", then="execution_id")),
                "node_id",
                "ordinal",
                condition=Q(status="INCOMPLETE"),
                name="node_execution_waits_in",
            ),
            # The window of a tree of runs: what it has in the broker, and what is next.
            models.Index(fields=["tree_id", "queue"], condition=Q(status="QUEUED", held_back=False), name="tree_sent"),
            models.Index(
                fields=["tree_id", "queue", "id"], condition=Q(status="QUEUED", held_back=True), name="tree_held_back"
            ),
            models.Index(
                fields=["tree_id"], condition=Q(status="QUEUED", held_back=False, is_shared=True), name="tree_shared"
            ),
            # Whether somebody is asked something, in a list of runs.
            models.Index(fields=["execution"], condition=Q(status="REVIEW"), name="node_execution_in_review"),
            # A run's node executions, a page at a time.
            models.Index(fields=["execution", "id"], name="node_execution_list"),
            # Recovery: timers that are due, leases that have run out, promises that are old.
            models.Index(fields=["wake_at"], condition=Q(status="SUSPENDED"), name="node_execution_asleep"),
            models.Index(fields=["id"], condition=Q(status="RUNNING"), name="node_execution_running"),
            models.Index(
                fields=["queue", "is_backlog", "queued_at"],
                # `queued_at` keeps PostgreSQL from it where the messages of one tree are asked for.
                condition=Q(status="QUEUED", held_back=False, queued_at__isnull=False),
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


class Review(models.Model):
    """A question that a node execution asked a person; `approved` is None until somebody decides.

    `data` and `decided_data` are as rows keep values (`large_values`).
    """

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


class ClockCorrection(models.Model):
    """By how many seconds times were moved because the database's clock had jumped, all jumps together. One row."""

    seconds = models.FloatField()

    def __str__(self) -> str:
        """Say how many."""
        return f"{self.seconds} s"


class QueueProbe(models.Model):
    """What is known of a queue, or of its backlog's, by probes: messages that travel it first in, first out, like all.

    A probe was last sent at `sent_at`. Of those that have come out, the newest was sent at `passed`; that became known
    at `passed_at`. So every message that was sent before `passed` has come out too, or is lost.
    """

    queue = models.CharField(max_length=16, primary_key=True)
    sent_at = models.DateTimeField(null=True)
    passed = models.DateTimeField(null=True)
    passed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        """Name the queue."""
        return self.queue
