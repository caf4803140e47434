"""Runs in the admin: to look at, and to answer what they ask.

The lists stay fast with hundreds of thousands of rows: they are read along the primary key, users and graph versions
come along in the same query, rows are counted only up to a bound, and a search finds keys first and goes to the rows by
index.
"""

from typing import Any, ClassVar, cast

from django.contrib import admin, messages
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from execution.admin_display import (
    MAX_SHOWN,
    cut_text,
    link_to,
    name_node,
    show_form,
    show_forms,
    show_value,
    show_values,
    tell_large,
    tell_rest,
)
from execution.engine.statuses import Status
from execution.exceptions import ExecutionError, ReviewDecidedError
from execution.large_values import Kept
from execution.measures import with_measures
from execution.models import Execution, NodeExecution, Review
from execution.pagination import KeyPaginator
from execution.receipts import describe_receipt
from execution.reporting import describe_activity, describe_version, show_outputs
from execution.searching import as_uuid, newest_keys, runs_matching
from execution.services import decide_review, replay_execution, stop_execution
from graphs.admin import LookOnly
from graphs.blocks.contract import ERROR_PIN
from graphs.blocks.registry import find_interface
from graphs.exceptions import GraphsError
from graphs.models import Node


@admin.register(Execution)
class ExecutionAdmin(LookOnly, admin.ModelAdmin[Execution]):
    """Runs by id, graph or user."""

    paginator = KeyPaginator
    list_display = ["id", "graph", "user", "status", "node_count", "node_error_count", "created_at", "took"]
    list_select_related = ["user", "graph_version"]
    list_filter = ["status", "simulate"]
    actions = ["stop"]
    ordering = ["-id"]
    sortable_by = ["id"]
    search_help_text = "The id of a run or a graph, a part of a graph's name, or the beginning of a user's name."
    search_fields = ["id"]
    fields: ClassVar[Any] = [
        *("id", "graph", "user", "status", "activity", "simulate", "parent_shown", "origin_shown", "error"),
        *("preset_id", "schedule_id"),
        *("created_at", "started_at", "ended_at", "took", "nodes_walltime", "nodes_cputime"),
        *("opened", "unfinished", "node_count", "node_error_count"),
        *("inputs_shown", "masks_shown", "outputs_shown", "warnings_shown", "node_executions_shown"),
    ]
    readonly_fields = fields

    def has_stop_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may stop anybody's runs."""
        return request.user.has_perm("execution.change_execution")

    @admin.action(description="Stop", permissions=["stop"])
    def stop(self, request: HttpRequest, runs: QuerySet[Execution]) -> None:
        """Stop runs with all of their sub-runs."""
        for key in runs.order_by("id").values_list("pk", flat=True):
            receipt = stop_execution(execution_id=key)
            level = messages.WARNING if receipt.had_ended else messages.SUCCESS
            self.message_user(request, describe_receipt(receipt), level)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Execution | None:
        """Return a run with what its page tells."""
        del request, from_field
        key = as_uuid(object_id)
        return with_measures(Execution.objects.filter(pk=key)).first() if key else None

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Execution], search_term: str
    ) -> tuple[QuerySet[Execution], bool]:
        """Search by id if it is one, else by graph and user."""
        del request
        return queryset.filter(runs_matching(search_term)), False

    @admin.display
    def graph(self, run: Execution) -> str:
        """Name the graph and its version."""
        return str(run.graph_version)

    @admin.display(description="took (s)")
    def took(self, run: Execution) -> str:
        """Return how long it took."""
        return f"{(run.ended_at - run.started_at).total_seconds():.3f}" if run.ended_at and run.started_at else ""

    @admin.display
    def activity(self, run: Execution) -> str:
        """Say how it stands."""
        return describe_activity(run)

    @admin.display(description="started by")
    def parent_shown(self, run: Execution) -> str:
        """Lead to the node execution that waits for a sub-run."""
        return link_to(NodeExecution, run.parent_id, str(run.parent_id)) if run.parent_id else ""

    @admin.display(description="replays")
    def origin_shown(self, run: Execution) -> str:
        """Lead to the run that it replays."""
        return link_to(Execution, run.origin_id, str(run.origin_id)) if run.origin_id else ""

    @admin.display(description="inputs")
    def inputs_shown(self, run: Execution) -> SafeString:
        """Show what it was given."""
        return show_value(tell_large(run.input_data))

    @admin.display(description="masks")
    def masks_shown(self, run: Execution) -> SafeString:
        """Show what stands in for inputs of nodes."""
        return show_value({node_id: tell_large(mask) for node_id, mask in run.nodes_input_masks.items()})

    @admin.display(description="outputs")
    def outputs_shown(self, run: Execution) -> SafeString:
        """Show its first outputs."""
        values = show_outputs(run, limit=MAX_SHOWN)
        return show_values((name, each) for name, those in values.items() for each in those) + tell_rest(
            run.output_count
        )

    @admin.display(description="warnings")
    def warnings_shown(self, run: Execution) -> SafeString:
        """Show what never fired."""
        return format_html_join(
            SafeString("<br>"), "{}", ((warning["message"],) for warning in run.warnings[:MAX_SHOWN])
        )

    @admin.display(description="node executions")
    def node_executions_shown(self, run: Execution) -> SafeString:
        """Show its first node executions, and lead to the list of all."""
        nodes = describe_version(run).plan.nodes
        rows = run.node_executions.order_by("id").only("node_id", "ordinal", "status", "walltime")[:MAX_SHOWN]
        lines = (
            (
                link_to(NodeExecution, row.pk, name_node(nodes, row.node_id)),
                f"#{row.ordinal} {row.status} {row.walltime:.3f} s",
            )
            for row in rows
        )
        shown = format_html_join(SafeString("<br>"), "{} {}", lines)
        address = f"{reverse('admin:execution_nodeexecution_changelist')}?execution__id__exact={run.pk}"
        return shown + format_html('<p><a href="{}">All {}</a></p>', address, run.opened)


@admin.register(NodeExecution)
class NodeExecutionAdmin(LookOnly, admin.ModelAdmin[NodeExecution]):
    """Node executions by their id, or that of their run, its graph or its user."""

    paginator = KeyPaginator
    list_display = ["id", "block", "graph", "user", "status", "attempt", "queued_at", "started_at", "walltime"]
    ordering = ["-id"]
    sortable_by = ["id"]
    actions = ["replay"]
    search_help_text = "The id of a node execution, a run or a graph, a part of a graph's name, or of a user's."
    search_fields = ["id"]
    fields: ClassVar[Any] = [
        *("id", "run_shown", "node_shown", "ordinal", "status", "attempt", "waits", "reused_from", "error_shown"),
        "log",
        *("opened_at", "queued_at", "started_at", "ended_at", "walltime", "cputime", "wake_at", "lease_until"),
        *("inputs_shown", "later_inputs_shown", "outputs_shown", "sub_runs_shown"),
    ]
    readonly_fields = fields

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may start runs for others."""
        return request.user.has_perm("execution.add_execution")

    @admin.action(description="Replay the run from here", permissions=["replay"])
    def replay(self, request: HttpRequest, rows: QuerySet[NodeExecution]) -> None:
        """Start a new run for each row, which runs that row again and what follows from it."""
        for key, execution_id in rows.order_by("id").values_list("pk", "execution_id"):
            try:
                run = replay_execution(execution_id=execution_id, node_execution_id=key)
            except (ExecutionError, GraphsError) as error:
                self.message_user(request, f"{key}: {error}", messages.WARNING)
            else:
                self.message_user(request, f"{key} is replayed by the run {run.pk}.", messages.SUCCESS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[NodeExecution]:
        """Return the rows with the block of each one's node."""
        # Through the version's runs, so that a count of the rows needs no join.
        nodes = Node.objects.filter(version__execution=OuterRef("execution_id"), node_id=OuterRef("node_id"))
        rows = super().get_queryset(request).annotate(block_id=Subquery(nodes.values("block_id")[:1]))
        # With its run: one whose run is deleted is about to go.
        return rows.select_related("execution__user", "execution__graph_version")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[NodeExecution], search_term: str
    ) -> tuple[QuerySet[NodeExecution], bool]:
        """Search by id if it is one, else by the graph and user of the newest runs."""
        del request
        if not search_term.strip():
            return queryset, False
        found = Q(execution__in=newest_keys(Execution.objects.filter(runs_matching(search_term))))
        key = as_uuid(search_term)
        return queryset.filter(found | Q(pk=key) if key else found), False

    @admin.display
    def block(self, row: NodeExecution) -> str:
        """Name the block of its node."""
        block_id: str = getattr(row, "block_id", None) or ""
        interface = find_interface(block_id)
        return interface.name if interface else block_id

    @admin.display
    def graph(self, row: NodeExecution) -> str:
        """Name the graph of its run."""
        return str(row.execution.graph_version)

    @admin.display
    def user(self, row: NodeExecution) -> str:
        """Name the user of its run."""
        return row.execution.user.get_username()

    @admin.display(description="execution")
    def run_shown(self, row: NodeExecution) -> SafeString:
        """Lead to its run."""
        return link_to(Execution, row.execution_id, f"{row.execution.graph_version}, {row.execution_id}")

    @admin.display(description="node")
    def node_shown(self, row: NodeExecution) -> str:
        """Name its node."""
        return f"{name_node(describe_version(row.execution).plan.nodes, row.node_id)} {row.node_id}"

    @admin.display(description="error")
    def error_shown(self, row: NodeExecution) -> str:
        """Say why it failed."""
        return cut_text(str(row.outputs.filter(pin=ERROR_PIN).values_list("value", flat=True).first() or ""))

    @admin.display(description="inputs")
    def inputs_shown(self, row: NodeExecution) -> SafeString:
        """Show what links delivered when it was opened."""
        return show_forms(row.inputs.items())

    @admin.display(description="later inputs")
    def later_inputs_shown(self, row: NodeExecution) -> SafeString:
        """Show what links delivered later."""
        return show_forms(row.later_inputs.order_by("pin").values_list("pin", "value")[:MAX_SHOWN])

    @admin.display(description="outputs")
    def outputs_shown(self, row: NodeExecution) -> SafeString:
        """Show its first outputs."""
        values = row.outputs.order_by("position").values_list("pin", "value")[:MAX_SHOWN]
        return show_forms(values) + tell_rest(row.output_count)

    @admin.display(description="sub-runs")
    def sub_runs_shown(self, row: NodeExecution) -> SafeString:
        """Lead to the runs that it started."""
        runs = row.children.order_by("id").only("status")[:MAX_SHOWN]
        return format_html_join(SafeString("<br>"), "{}", ((link_to(Execution, run.pk, str(run)),) for run in runs))


@admin.register(Review)
class ReviewAdmin(LookOnly, admin.ModelAdmin[Review]):
    """What runs ask people. Who may change reviews may decide them."""

    paginator = KeyPaginator
    list_display = ["name", "state", "graph", "user", "data_shown", "message", "created_at", "decided_at"]
    list_select_related = [
        *("node_execution__execution__user", "node_execution__execution__graph_version", "decided_by"),
    ]
    ordering = [F("approved").asc(nulls_first=True), "-id"]
    list_filter = [("approved", admin.EmptyFieldListFilter)]
    actions = ["approve", "reject"]
    fields: ClassVar[Any] = [
        *("id", "name", "state", "run_shown", "data_shown", "editable"),
        *("decided_data_shown", "message", "decided_by", "created_at", "decided_at"),
    ]
    readonly_fields = fields

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may answer in the place of those who were asked."""
        return request.user.has_perm("execution.change_review")

    @admin.action(description="Approve", permissions=["decide"])
    def approve(self, request: HttpRequest, reviews: QuerySet[Review]) -> None:
        """Approve the data as they are."""
        self._decide(request, reviews, approved=True)

    @admin.action(description="Reject", permissions=["decide"])
    def reject(self, request: HttpRequest, reviews: QuerySet[Review]) -> None:
        """Reject the data."""
        self._decide(request, reviews, approved=False)

    def _decide(self, request: HttpRequest, reviews: QuerySet[Review], *, approved: bool) -> None:
        done, user = 0, cast(AbstractBaseUser, request.user)
        for review in reviews.order_by("id"):
            try:
                decide_review(user=user, review=review, approved=approved, data=Kept(review.data))
                done += 1
            except ReviewDecidedError as error:
                self.message_user(request, f"{review.name}: {error}", messages.WARNING)
        if done:
            self.message_user(request, f"{'Approved' if approved else 'Rejected'}: {done}.", messages.SUCCESS)

    @admin.display
    def state(self, review: Review) -> str:
        """Return what was decided."""
        if review.approved is None:
            return "waits" if review.node_execution.status == Status.REVIEW else "cancelled"
        return "approved" if review.approved else "rejected"

    @admin.display
    def graph(self, review: Review) -> str:
        """Name the graph that asks."""
        return str(review.node_execution.execution.graph_version)

    @admin.display
    def user(self, review: Review) -> str:
        """Name the user of the run."""
        return review.node_execution.execution.user.get_username()

    @admin.display(description="execution")
    def run_shown(self, review: Review) -> SafeString:
        """Lead to the run that asks."""
        run = review.node_execution.execution
        return link_to(Execution, run.pk, f"{run.graph_version}, {run.pk}")

    @admin.display(description="data")
    def data_shown(self, review: Review) -> SafeString:
        """Show what is to be decided about."""
        return show_form(review.data)

    @admin.display(description="decided data")
    def decided_data_shown(self, review: Review) -> SafeString:
        """Show what the person made of it."""
        return show_form(review.decided_data)
