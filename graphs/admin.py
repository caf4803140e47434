"""Graphs in the admin: to look at. A version never changes, so there is nothing to edit in it.

The lists stay fast with hundreds of thousands of rows: they are read in the order of the primary key, owners and
versions come along in the same query, and rows are counted only up to a bound.
"""

import json
from typing import Any, ClassVar, Final
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from graphs.blocks.registry import find_interface
from graphs.models import Graph, GraphVersion
from graphs.pagination import BoundedPaginator
from graphs.validation import describe_node

MAX_SHOWN: Final = 500
"""Versions, nodes or links that one page shows."""

MAX_SHOWN_CONSTANTS: Final = 2_000
"""Characters of a node's constants that the page of its version shows."""


class LookOnly:
    """No way to add, change or delete."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: graphs come by import."""
        del request, obj
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: what is saved stays as it is."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: runs refer to it."""
        del request, obj
        return False


@admin.register(Graph)
class GraphAdmin(LookOnly, admin.ModelAdmin[Graph]):
    """Graphs by name, owner or id."""

    paginator = BoundedPaginator
    list_display = ["name", "owner", "version", "node_count", "updated_at", "id"]
    list_select_related = ["owner", "active_version"]
    search_fields = ["active_version__name", "owner__username"]
    search_help_text = "A part of the name, the beginning of the owner's name, or an id."
    fields: ClassVar[Any] = [
        "id",
        "name",
        "owner",
        "version",
        "description",
        "created_at",
        "updated_at",
        "versions_shown",
    ]
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Graph], search_term: str
    ) -> tuple[QuerySet[Graph], bool]:
        """Search by id if it is one, else by name and owner."""
        del request
        found = _as_uuid(search_term)
        if found:
            return queryset.filter(pk=found), False
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(active_version__name__icontains=term) | Q(owner__username__istartswith=term)), False

    @admin.display(ordering="active_version__name")
    def name(self, graph: Graph) -> str:
        """Return what its active version is called."""
        return str(graph)

    @admin.display(ordering="active_version__version")
    def version(self, graph: Graph) -> int | None:
        """Return the number of the active version."""
        return graph.active_version.version if graph.active_version else None

    @admin.display(ordering="active_version__node_count", description="nodes")
    def node_count(self, graph: Graph) -> int | None:
        """Count the nodes of the active version."""
        return graph.active_version.node_count if graph.active_version else None

    @admin.display
    def description(self, graph: Graph) -> str:
        """Return what its owner says about it."""
        return graph.active_version.description if graph.active_version else ""

    @admin.display(description="versions")
    def versions_shown(self, graph: Graph) -> SafeString:
        """List its newest versions, each with a link to it."""
        versions = graph.versions.order_by("-version")[:MAX_SHOWN]
        return format_html_join(
            SafeString("<br>"),
            '<a href="{}">{}</a> ({} nodes, {} links, {})',
            (
                (
                    _address(version),
                    str(version),
                    version.node_count,
                    version.link_count,
                    f"{version.created_at:%Y-%m-%d %H:%M}",
                )
                for version in versions
            ),
        )


@admin.register(GraphVersion)
class GraphVersionAdmin(LookOnly, admin.ModelAdmin[GraphVersion]):
    """Versions with their nodes and links."""

    paginator = BoundedPaginator
    list_display = ["name", "version", "owner", "node_count", "link_count", "created_at", "graph_id"]
    list_select_related = ["graph__owner"]
    search_fields = ["name", "graph__owner__username"]
    search_help_text = "A part of the name, the beginning of the owner's name, or the id of a graph."
    fields: ClassVar[Any] = [
        "graph_id",
        "version",
        "name",
        "owner",
        "description",
        "created_at",
        "nodes_shown",
        "links_shown",
    ]
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[GraphVersion], search_term: str
    ) -> tuple[QuerySet[GraphVersion], bool]:
        """Search by graph if it is an id, else by name and owner."""
        del request
        found = _as_uuid(search_term)
        if found:
            return queryset.filter(Q(graph_id=found) | Q(pk=found)), False
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(name__icontains=term) | Q(graph__owner__username__istartswith=term)), False

    @admin.display(ordering="graph__owner__username")
    def owner(self, version: GraphVersion) -> str:
        """Return whose graph it is."""
        return version.graph.owner.get_username()

    @admin.display(description="nodes")
    def nodes_shown(self, version: GraphVersion) -> SafeString:
        """List its nodes with their constants."""
        return format_html_join(
            "",
            "<p><b>{}</b> {}<br><code>{}</code></p>",
            (
                (
                    describe_node(node.document(), find_interface(node.block_id)),
                    node.node_id,
                    json.dumps(node.input_default, ensure_ascii=False)[:MAX_SHOWN_CONSTANTS],
                )
                for node in version.nodes.all()[:MAX_SHOWN]
            ),
        ) + _say_more(version.node_count)

    @admin.display(description="links")
    def links_shown(self, version: GraphVersion) -> SafeString:
        """List its links in order."""
        rows = ((str(link), "(static)" if link.is_static else "") for link in version.links.all()[:MAX_SHOWN])
        return format_html_join("", "<p>{} {}</p>", rows) + _say_more(version.link_count)


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def _address(version: GraphVersion) -> str:
    return reverse("admin:graphs_graphversion_change", args=[version.pk])


def _say_more(count: int) -> SafeString:
    return format_html("<p>… {} in all</p>", count) if count > MAX_SHOWN else SafeString("")
