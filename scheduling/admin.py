"""Schedules in the admin: to look at, to pause, to resume and to run.

On beat's own pages a schedule's PeriodicTask is there to look at too: what is done to it there is done to the schedule.
"""

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django_celery_beat.admin import PeriodicTaskAdmin as BeatsPeriodicTaskAdmin
from django_celery_beat.models import PeriodicTask

from execution.admin_display import link_to, show_value
from execution.models import Execution
from execution.searching import as_uuid, newest_keys
from graphs.admin import LookOnly
from graphs.pagination import BoundedPaginator
from scheduling.checking import REFUSALS, explain
from scheduling.models import Occurrence, Schedule
from scheduling.services import pause_schedule, resume_schedule, run_now, with_last_run
from scheduling.wording import describe_kept_cron

MAX_SHOWN = 50


@admin.register(Schedule)
class ScheduleAdmin(LookOnly, admin.ModelAdmin[Schedule]):
    """Schedules by name, graph or user. Who may change schedules may pause, resume and run them."""

    paginator = BoundedPaginator
    list_display = ["name", "graph_shown", "user", "times", "state", "next_run", "last_run", "problem"]
    list_filter = ["is_enabled", "overlap", "misfire", ("problem", admin.EmptyFieldListFilter)]
    ordering = ["-id"]
    sortable_by = ["id"]
    search_fields = ["id"]
    search_help_text = "The id of a schedule or a graph, the beginning of a name, or of a user's."
    actions = ["pause", "resume", "run"]
    fields: ClassVar[Any] = [
        *("id", "name", "user", "graph_shown", "graph_version", "times", "timezone", "starts_at", "ends_at"),
        *("state", "next_run", "last_run", "problem", "problem_since", "failures", "pause_reason"),
        *("misfire", "misfire_limit", "misfire_grace", "overlap", "jitter", "pause_after_failures"),
        *("inputs_shown", "masks_shown", "periodic_task", "created_at", "updated_at", "occurrences_shown"),
    ]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Schedule]:
        """Return the schedules with their last runs."""
        return with_last_run(super().get_queryset(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Schedule], search_term: str
    ) -> tuple[QuerySet[Schedule], bool]:
        """Search by id if it is one, else by name and user."""
        del request
        term = search_term.strip()
        if not term:
            return queryset, False
        if key := as_uuid(term):
            return queryset.filter(Q(pk=key) | Q(graph_id=key)), False
        users = newest_keys(get_user_model()._default_manager.filter(username__istartswith=term))
        return queryset.filter(Q(name__istartswith=term) | Q(user__in=users)), False

    def has_steer_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may decide about anybody's schedules."""
        return request.user.has_perm("scheduling.change_schedule")

    @admin.action(description="Pause", permissions=["steer"])
    def pause(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> None:
        """Let schedules rest."""
        self._do(request, schedules, lambda schedule: pause_schedule(schedule=schedule), done="Paused")

    @admin.action(description="Resume", permissions=["steer"])
    def resume(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> None:
        """Let schedules go on with their next time."""
        self._do(request, schedules, lambda schedule: resume_schedule(schedule=schedule), done="Resumed")

    @admin.action(description="Run now", permissions=["steer"])
    def run(self, request: HttpRequest, schedules: QuerySet[Schedule]) -> None:
        """Start a run of each, in the name of its owner."""
        self._do(request, schedules, lambda schedule: run_now(schedule=schedule), done="Started")

    def _do(
        self, request: HttpRequest, schedules: QuerySet[Schedule], act: Callable[[Schedule], Any], *, done: str
    ) -> None:
        count = 0
        for schedule in schedules.order_by("id"):
            try:
                act(schedule)
                count += 1
            except REFUSALS as error:
                self.message_user(request, f"{schedule.name}: {explain(error)}", messages.WARNING)
        if count:
            self.message_user(request, f"{done}: {count}.", messages.SUCCESS)

    @admin.display(description="graph")
    def graph_shown(self, schedule: Schedule) -> str:
        """Lead to the graph, if it is still there."""
        if not schedule.has_graph:
            return f"{schedule.graph_id} (gone)"
        address = reverse("admin:graphs_graph_change", args=[schedule.graph_id])
        return format_html('<a href="{}">{}</a>', address, schedule.graph)

    @admin.display
    def times(self, schedule: Schedule) -> str:
        """Say its times in words."""
        if schedule.cron:
            return f"{describe_kept_cron(schedule.cron)} ({schedule.cron}, {schedule.timezone})"
        return f"once, at {schedule.run_at:%Y-%m-%d %H:%M:%S} UTC"

    @admin.display
    def state(self, schedule: Schedule) -> str:
        """Say whether it goes on."""
        if not schedule.is_enabled:
            return f"paused: {schedule.pause_reason}" if schedule.pause_reason else "paused"
        return "goes on" if schedule.next_due else "has ended"

    @admin.display(ordering="next_start")
    def next_run(self, schedule: Schedule) -> str:
        """Say when it runs next, as it is said of the last run."""
        return f"{schedule.next_start:%Y-%m-%d %H:%M:%S}" if _is_to_run(schedule) else ""

    @admin.display
    def last_run(self, schedule: Schedule) -> str:
        """Lead to its last run."""
        key = getattr(schedule, "last_execution_id", None)
        if key is None:
            return ""
        return link_to(Execution, key, f"{schedule.last_run_time:%Y-%m-%d %H:%M:%S} {schedule.last_state}")  # type: ignore[attr-defined]

    @admin.display(description="inputs")
    def inputs_shown(self, schedule: Schedule) -> SafeString:
        """Show what its runs are given."""
        return show_value(schedule.input_data)

    @admin.display(description="masks")
    def masks_shown(self, schedule: Schedule) -> SafeString:
        """Show what stands in for inputs of nodes."""
        return show_value(schedule.nodes_input_masks)

    @admin.display(description="occurrences")
    def occurrences_shown(self, schedule: Schedule) -> SafeString:
        """Show what became of its newest times."""
        newest = schedule.occurrences.order_by("-id")[:MAX_SHOWN]
        return format_html_join(SafeString("<br>"), "{} {} {} {}", (_describe(each) for each in newest))


def _is_to_run(schedule: Schedule) -> bool:
    return schedule.is_enabled and schedule.next_start is not None and schedule.has_graph


def _describe(occurrence: Occurrence) -> tuple[str, ...]:
    key = occurrence.execution_id
    return (
        f"{occurrence.due_at:%Y-%m-%d %H:%M:%S}{' by hand' if occurrence.is_manual else ''}",
        occurrence.state,
        link_to(Execution, key, str(key)) if key else "",
        occurrence.reason,
    )


admin.site.unregister(PeriodicTask)


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(BeatsPeriodicTaskAdmin):  # type: ignore[misc]
    """Beat's own page. What belongs to a schedule is changed with the schedule."""

    def has_change_permission(self, request: HttpRequest, obj: PeriodicTask | None = None) -> bool:
        """Refuse where a schedule says what it is."""
        return not _is_schedules(obj) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: PeriodicTask | None = None) -> bool:
        """Refuse where a schedule needs it."""
        return not _is_schedules(obj) and bool(super().has_delete_permission(request, obj))

    def enable_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        """Enable tasks, and resume the schedules among them."""
        schedules, others = _part(queryset)
        self._steer(request, lambda site: site.resume(request, schedules), schedules)
        super().enable_tasks(request, others)

    def disable_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        """Disable tasks, and pause the schedules among them."""
        schedules, others = _part(queryset)
        self._steer(request, lambda site: site.pause(request, schedules), schedules)
        super().disable_tasks(request, others)

    def toggle_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        """Do either, whatever each needs."""
        schedules, others = _part(queryset)
        enabled, disabled = (
            set(schedules.filter(is_enabled=each).values_list("pk", flat=True)) for each in (True, False)
        )
        self._steer(request, lambda site: site.pause(request, schedules.filter(pk__in=enabled)), schedules)
        self._steer(request, lambda site: site.resume(request, schedules.filter(pk__in=disabled)), schedules)
        super().toggle_tasks(request, others)

    def run_tasks(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        """Run tasks, and schedules."""
        schedules, others = _part(queryset)
        self._steer(request, lambda site: site.run(request, schedules), schedules)
        if others:
            super().run_tasks(request, others)

    def _steer(self, request: HttpRequest, act: Callable[[ScheduleAdmin], None], schedules: QuerySet[Schedule]) -> None:
        site = ScheduleAdmin(Schedule, self.admin_site)
        if not schedules:
            return
        if site.has_steer_permission(request):
            act(site)
        else:
            self.message_user(request, "Schedules are left alone: you may not change them.", messages.WARNING)


def _is_schedules(task: PeriodicTask | None) -> bool:
    return task is not None and Schedule.objects.filter(periodic_task=task).exists()


def _part(tasks: QuerySet[PeriodicTask]) -> tuple[QuerySet[Schedule], QuerySet[PeriodicTask]]:
    """Return the schedules among the tasks, and the other tasks."""
    keys = list(tasks.values_list("pk", flat=True))
    others = PeriodicTask.objects.filter(pk__in=keys, graph_schedule__isnull=True)
    return Schedule.objects.filter(periodic_task__in=keys), others
