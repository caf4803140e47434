"""Schedules as the API shows them. Names are those of AutoGPT's API, where it has them."""

from datetime import datetime
from typing import Any

from rest_framework import serializers

from execution.reporting import show_status
from execution.start_serializers import CostWishesSerializer, take_other_names
from graphs.credential_serializers import CredentialsField
from scheduling.cron import MAX_LENGTH
from scheduling.models import MAX_NAME_LENGTH, Occurrence, Schedule
from scheduling.policies import Misfire, Overlap
from scheduling.wording import describe_kept_cron

MAX_PREVIEWED = 100
_DAY = 24 * 60 * 60
MISFIRES = Misfire.choices
OVERLAPS = Overlap.choices
OCCURRENCE_STATES = Occurrence.State.values

_CRON = (
    "Five fields (minute, hour, day of the month, month, day of the week) with names, ranges, lists and steps,"
    " or @hourly, @daily, @weekly, @monthly, @yearly. Sunday is 0 and 7."
)
_RUN_AT = "Run once, at this time: without an offset, by a clock in `timezone`."
_STARTS_AT = "Nothing is due before; read as `run_at` is."
_ENDS_AT = "Nothing is due later; read as `run_at` is."
_TIMEZONE = "An IANA name such as Europe/Berlin; the user's own if left out."


class MomentField(serializers.DateTimeField):
    """A moment; without an offset, what a clock in the schedule's zone shows."""

    def enforce_timezone(self, value: datetime) -> datetime:
        """Leave it without a zone: the schedule has one."""
        return value if value.tzinfo is None else super().enforce_timezone(value)


class ScheduleWriteSerializer(CostWishesSerializer):
    """What a user decides about a schedule. It has either `cron` or `run_at`."""

    name = serializers.CharField(max_length=MAX_NAME_LENGTH)
    graph_version = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, help_text="The active version, whichever it is then, if null."
    )
    cron = serializers.CharField(required=False, allow_blank=True, max_length=MAX_LENGTH, help_text=_CRON)
    run_at = MomentField(required=False, allow_null=True, help_text=_RUN_AT)
    timezone = serializers.CharField(required=False, max_length=64, help_text=_TIMEZONE)
    starts_at = MomentField(required=False, allow_null=True, help_text=_STARTS_AT)
    ends_at = MomentField(required=False, allow_null=True, help_text=_ENDS_AT)
    input_data = serializers.DictField(required=False, help_text="The runs' inputs by name.")
    inputs = serializers.DictField(required=False, write_only=True, help_text="The same as `input_data`.")
    nodes_input_masks = serializers.DictField(
        required=False, child=serializers.DictField(), help_text="{node id: {pin: value}}: what stands in for inputs."
    )
    input_credentials = CredentialsField(required=False)
    credentials = CredentialsField(required=False, write_only=True, help_text="The same as `input_credentials`.")
    misfire = serializers.ChoiceField(
        required=False,
        choices=MISFIRES,
        help_text="What becomes of times that were missed while nothing was there to start them: `skip` them,"
        " `fire_once` for all of them (the default), or `fire_all`, up to `misfire_limit`.",
    )
    misfire_limit = serializers.IntegerField(
        required=False, min_value=1, max_value=100, help_text="With `fire_all`: the newest so many (10)."
    )
    misfire_grace_seconds = serializers.IntegerField(
        required=False,
        source="misfire_grace",
        allow_null=True,
        min_value=0,
        max_value=366 * _DAY,
        help_text="How late a missed run may start; later it is left out. Up to 60 seconds late is not missed."
        " Null: however late.",
    )
    overlap = serializers.ChoiceField(
        required=False,
        choices=OVERLAPS,
        help_text="What becomes of a time that is due while a run of this schedule goes on: `allow` both, `skip` it"
        " (the default), `queue_one` to run when the other has ended, or `cancel_running`.",
    )
    jitter_seconds = serializers.IntegerField(
        required=False,
        source="jitter",
        min_value=0,
        max_value=_DAY,
        help_text="Each run starts later by a part of this that chance picks.",
    )
    pause_after_failures = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=1000,
        help_text="Pause when so many runs failed in a row.",
    )
    is_enabled = serializers.BooleanField(required=False, help_text="False: paused.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take the inputs under either name; a new kind of timing takes the place of the old."""
        attrs = take_other_names(attrs, inputs="input_data", credentials="input_credentials")
        if attrs.get("cron") and "run_at" not in attrs:
            attrs["run_at"] = None
        if attrs.get("run_at") and "cron" not in attrs:
            attrs["cron"] = ""
        return attrs


class ScheduleSerializer(serializers.ModelSerializer[Schedule]):
    """A schedule, how it stands, and when it runs next. It needs what `services.with_last_run` adds."""

    user_id = serializers.IntegerField()
    graph_id = serializers.UUIDField()
    graph_version = serializers.SerializerMethodField(help_text="The version that it runs; null if the graph is gone.")
    follows_active_version = serializers.SerializerMethodField()
    cron = serializers.CharField(help_text="Empty for a schedule that runs once (`run_at`).")
    description = serializers.SerializerMethodField(help_text="`cron` in words.")
    next_run_time = serializers.SerializerMethodField(help_text="Null if it is paused or has no next time.")
    misfire_grace_seconds = serializers.IntegerField(
        source="misfire_grace", allow_null=True, help_text="How late a missed run may start; null: however late."
    )
    jitter_seconds = serializers.IntegerField(source="jitter", help_text="How much later chance may let a run start.")
    input_data = serializers.DictField()
    nodes_input_masks = serializers.DictField(child=serializers.DictField())
    input_credentials = CredentialsField()
    pause_reason = serializers.CharField(help_text="Why it was paused, if its owner didn't do it.")
    problem = serializers.CharField(help_text="Why it can't run at the moment; empty if it can. It is tried again.")
    problem_since = serializers.DateTimeField(allow_null=True, help_text="Since when it can't run.")
    failures = serializers.IntegerField(help_text="How many runs failed, one after the other.")
    last_run_time = serializers.DateTimeField(allow_null=True, help_text="When its newest run was started.")
    last_run_state = serializers.ChoiceField(
        source="last_state", choices=OCCURRENCE_STATES, allow_null=True, help_text="How that run stands."
    )
    last_graph_exec_id = serializers.UUIDField(
        source="last_execution_id", allow_null=True, help_text="The run that came of it."
    )

    class Meta:
        model = Schedule
        fields = [
            *("id", "user_id", "graph_id", "graph_version", "follows_active_version", "name"),
            *("cron", "run_at", "timezone", "description", "starts_at", "ends_at", "next_run_time"),
            *("input_data", "nodes_input_masks", "input_credentials", "max_cost", "on_insufficient_credits"),
            *("misfire", "misfire_limit", "misfire_grace_seconds", "overlap"),
            *("jitter_seconds", "pause_after_failures", "is_enabled", "pause_reason", "problem", "problem_since"),
            *("failures", "last_run_time", "last_run_state", "last_graph_exec_id", "created_at", "updated_at"),
        ]
        extra_kwargs = {
            "run_at": {"help_text": "When it runs, if it does so once."},
            "starts_at": {"help_text": "Nothing is due before."},
            "ends_at": {"help_text": "Nothing is due later."},
            "max_cost": {"help_text": "Credits that a run and its sub-runs may cost; null: no limit."},
            "on_insufficient_credits": {"help_text": "Without credits for a node a run fails, or waits for them."},
            "misfire": {"help_text": "What becomes of times that were missed."},
            "misfire_limit": {"help_text": "With `fire_all`: the newest so many."},
            "overlap": {"help_text": "What becomes of a time that is due while a run of this schedule goes on."},
            "pause_after_failures": {"help_text": "It is paused when so many runs failed in a row."},
            "is_enabled": {"help_text": "False: it is paused."},
        }

    def get_graph_version(self, schedule: Schedule) -> int | None:
        """Return the number of the version that would run now; nothing if the graph is gone."""
        if schedule.graph is None or not schedule.has_graph:
            return None
        if schedule.graph_version is not None:
            return schedule.graph_version
        active = schedule.graph.active_version
        return active.version if active else None

    def get_follows_active_version(self, schedule: Schedule) -> bool:
        """Whether it runs the active version, whichever it is."""
        return schedule.graph_version is None

    def get_description(self, schedule: Schedule) -> str:
        """Say its times in words."""
        return describe_kept_cron(schedule.cron) if schedule.cron else "Once"

    def get_next_run_time(self, schedule: Schedule) -> str | None:
        """Return when it starts a run next, jitter included."""
        if not schedule.is_enabled or schedule.next_start is None or not schedule.has_graph:
            return None
        return serializers.DateTimeField().to_representation(schedule.next_start)


class DeletedScheduleSerializer(serializers.Serializer[Any]):
    """What was deleted."""

    id = serializers.UUIDField(help_text="The schedule's id.")


class OccurrenceSerializer(serializers.ModelSerializer[Occurrence]):
    """What became of one due time, with its run."""

    state = serializers.ChoiceField(
        choices=OCCURRENCE_STATES,
        help_text="WAITING for the run before it, STARTED, then as its run ended (COMPLETED, FAILED, TERMINATED, GONE"
        " if it was deleted); or there was no run: MISSED, SKIPPED for another run, REFUSED since it couldn't start.",
    )
    reason = serializers.CharField(help_text="Why there was no run.")
    is_manual = serializers.BooleanField(help_text="Somebody started it, it was not due.")
    graph_exec_id = serializers.UUIDField(source="execution_id", allow_null=True)
    graph_exec_status = serializers.SerializerMethodField(help_text="How the run stands; null if there is none.")
    started_at = serializers.DateTimeField(source="execution.started_at", allow_null=True, default=None)
    ended_at = serializers.DateTimeField(source="execution.ended_at", allow_null=True, default=None)

    class Meta:
        model = Occurrence
        fields = [
            *("id", "due_at", "state", "reason", "is_manual", "decided_at"),
            *("graph_exec_id", "graph_exec_status", "started_at", "ended_at"),
        ]
        extra_kwargs = {
            "due_at": {"help_text": "When it was due."},
            "decided_at": {"help_text": "When it was started, or left out."},
        }

    def get_graph_exec_status(self, occurrence: Occurrence) -> str | None:
        """Return the status of the run."""
        return show_status(occurrence.execution.status) if occurrence.execution else None


class PreviewSerializer(serializers.Serializer[Any]):
    """A timing to look at."""

    cron = serializers.CharField(required=False, allow_blank=True, max_length=MAX_LENGTH, help_text=_CRON)
    run_at = MomentField(required=False, allow_null=True, default=None, help_text=_RUN_AT)
    timezone = serializers.CharField(required=False, max_length=64, help_text=_TIMEZONE)
    starts_at = MomentField(required=False, allow_null=True, default=None, help_text=_STARTS_AT)
    ends_at = MomentField(required=False, allow_null=True, default=None, help_text=_ENDS_AT)
    count = serializers.IntegerField(default=5, min_value=1, max_value=MAX_PREVIEWED, help_text="How many times.")


class PreviewedTimeSerializer(serializers.Serializer[Any]):
    """One of the next times."""

    at = serializers.DateTimeField(help_text="The instant, in UTC.")
    local = serializers.CharField(help_text="The same as the clock in the zone shows it, with its distance from UTC.")
    in_words = serializers.CharField(help_text="The same in words.")


class PreviewedSerializer(serializers.Serializer[Any]):
    """When a timing is due next."""

    description = serializers.CharField()
    timezone = serializers.CharField()
    next_run_times = PreviewedTimeSerializer(many=True, help_text="The next times, the first one first.")
