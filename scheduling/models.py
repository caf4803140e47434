"""Schedules as rows: when a run starts by itself, and what became of each time that was due.

Whoever writes a schedule's occurrences or decides about it holds the lock of its row.
"""

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Greatest
from django_celery_beat.models import PeriodicTask

from execution.models import Execution, KeptWishes
from graphs.models import Graph, new_id
from scheduling.cron import MAX_LENGTH, parse_cron
from scheduling.moments import read_zone
from scheduling.policies import Misfire, Overlap
from scheduling.timing import Timing

MAX_NAME_LENGTH = 150


class Schedule(KeptWishes):
    """When runs of a graph start by themselves: at the times of `cron` in `timezone`, or once, at `run_at`.

    The times are between `starts_at` and `ends_at`. `next_due` is the next of them, `next_start` when its run starts
    (later by jitter); both are null when there is none any more. `last_due` is the newest that was decided about;
    if that, or `updated_at`, is yet to come, the clock was ahead then (see `scheduling.aiming`).
    `misfire_grace` and `jitter` are in seconds. `failures` counts the runs that failed one after the other.
    `problem` says why it can't run at the moment, `pause_reason` why it was switched off other than by its owner.
    `needs_check` asks for a look whether it can run. The graph may be gone: the schedule stays, and says so.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    # Never null, but it may point at a graph that is gone; nullable so that joins keep the schedule.
    graph = models.ForeignKey(
        Graph, on_delete=models.DO_NOTHING, null=True, related_name="+", db_index=False, db_constraint=False
    )
    graph_version = models.PositiveIntegerField(null=True, blank=True)
    name = models.CharField(max_length=MAX_NAME_LENGTH)
    cron = models.CharField(max_length=MAX_LENGTH, blank=True)
    run_at = models.DateTimeField(null=True, blank=True)
    timezone = models.CharField(max_length=64)
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)

    misfire = models.CharField(max_length=16, choices=Misfire.choices, default=Misfire.FIRE_ONCE)
    misfire_limit = models.PositiveSmallIntegerField(default=10)
    misfire_grace = models.PositiveIntegerField(null=True, blank=True)
    overlap = models.CharField(max_length=16, choices=Overlap.choices, default=Overlap.SKIP)
    jitter = models.PositiveIntegerField(default=0)
    pause_after_failures = models.PositiveSmallIntegerField(null=True, blank=True)

    is_enabled = models.BooleanField(default=True)
    pause_reason = models.TextField(blank=True)
    problem = models.TextField(blank=True)
    problem_since = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    needs_check = models.BooleanField(default=False)
    next_due = models.DateTimeField(null=True, blank=True)
    next_start = models.DateTimeField(null=True, blank=True)
    last_due = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    # What beat's own pages show of it. It goes with the schedule (see `scheduling.receivers`), never before it.
    periodic_task = models.OneToOneField(PeriodicTask, on_delete=models.PROTECT, related_name="graph_schedule")

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["user", "-id"], name="schedule_list_of_user"),
            models.Index(fields=["graph", "-id"], name="schedule_list_of_graph"),
            # The tick: what is due.
            models.Index(fields=["next_start"], condition=Q(is_enabled=True), name="schedule_due"),
            models.Index(fields=["id"], condition=Q(needs_check=True), name="schedule_to_check"),
            # The tick: for which the clock was ahead.
            models.Index(Greatest("last_due", "updated_at"), condition=Q(is_enabled=True), name="schedule_ahead"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(cron="") ^ Q(run_at__isnull=True), name="schedule_cron_or_run_at"),
            models.CheckConstraint(
                condition=Q(next_due__isnull=True, next_start__isnull=True)
                | Q(next_due__isnull=False, next_start__isnull=False, next_start__gte=F("next_due")),
                name="schedule_starts_when_due",
            ),
            models.CheckConstraint(
                condition=Q(problem="") ^ Q(problem_since__isnull=False), name="schedule_problem_has_time"
            ),
            models.CheckConstraint(condition=Q(graph__isnull=False), name="schedule_has_graph"),
            models.CheckConstraint(condition=Q(misfire__in=Misfire.values), name="schedule_misfire_known"),
            models.CheckConstraint(condition=Q(overlap__in=Overlap.values), name="schedule_overlap_known"),
        ]

    def __str__(self) -> str:
        """Name the schedule the way its owner does."""
        return self.name

    @property
    def has_graph(self) -> bool:
        """Whether its graph is there: deleted for good, or out of sight since runs of it are kept, it is not."""
        return self.graph is not None and self.graph.deleted_at is None

    @property
    def timing(self) -> Timing:
        """When it is due. Raises `SchedulingError` if the row can't be read."""
        return Timing(
            key=self.pk,
            cron=parse_cron(self.cron) if self.cron else None,
            zone=read_zone(self.timezone),
            run_at=self.run_at,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            jitter=self.jitter,
        )


class Occurrence(models.Model):
    """What became of one due time of a schedule; there is one at most for each, so there is one run at most.

    `is_manual`: somebody started it by hand, at `due_at`. The run outlives its row here, and the row its run.
    """

    class State(models.TextChoices):
        """WAITING for a run to end; STARTED, then as its run ended; or there was none."""

        WAITING = "WAITING"
        STARTED = "STARTED"
        COMPLETED = "COMPLETED"
        FAILED = "FAILED"
        TERMINATED = "TERMINATED"
        GONE = "GONE"
        MISSED = "MISSED"
        SKIPPED = "SKIPPED"
        REFUSED = "REFUSED"

    HAVE_RUN = (State.STARTED, State.COMPLETED, State.FAILED, State.TERMINATED, State.GONE)
    UNFINISHED = (State.WAITING, State.STARTED)

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="occurrences", db_index=False)
    due_at = models.DateTimeField()
    is_manual = models.BooleanField(default=False)
    state = models.CharField(max_length=16, choices=State.choices)
    reason = models.TextField(blank=True)
    execution = models.ForeignKey(
        Execution, on_delete=models.DO_NOTHING, null=True, blank=True, related_name="+", db_constraint=False
    )
    decided_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["schedule", "-id"], name="occurrence_list_of_schedule"),
            # The tick: what goes on, what waits, what has ended.
            models.Index(
                fields=["schedule"], condition=Q(state__in=["WAITING", "STARTED"]), name="occurrence_unfinished"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["schedule", "due_at"], name="one_occurrence_per_due_time"),
            models.UniqueConstraint(
                fields=["schedule"], condition=Q(state="WAITING"), name="one_occurrence_waits_per_schedule"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["STARTED", "COMPLETED", "FAILED", "TERMINATED", "GONE"])
                ^ Q(execution__isnull=True),
                name="occurrence_started_has_run",
            ),
            models.CheckConstraint(
                condition=Q(
                    state__in=[
                        *("WAITING", "STARTED", "COMPLETED", "FAILED", "TERMINATED"),
                        *("GONE", "MISSED", "SKIPPED", "REFUSED"),
                    ]
                ),
                name="occurrence_state_known",
            ),
        ]

    def __str__(self) -> str:
        """Say which time, and what became of it."""
        return f"{self.due_at:%Y-%m-%d %H:%M:%S} {self.state}"
