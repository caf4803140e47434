"""Graphs as rows.

A graph is a line of numbered versions, one of them active. A version, once saved, never changes: triggers (see the
migration `0002_immutable_versions`) refuse every update of it, of its nodes and of its links, every late insert, and
every delete that leaves the graph behind.
"""

from uuid import UUID

from django.conf import settings
from django.db import models
from uuid_utils.compat import uuid7

from graphs.document import GraphDocument, LinkDocument, NodeDocument
from graphs.ordered_json import OrderedJSONField

MAX_NAME_LENGTH = 500
MAX_BLOCK_ID_LENGTH = 64


def new_id() -> UUID:
    """Return an id that sorts by the time it was made."""
    return uuid7()


class Graph(models.Model):
    """What a user calls "my agent". Its name and content are those of its active version."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="graphs", db_index=False)
    # The constraint is a foreign key over (id, active_version), written in a migration: the version is one of this
    # graph. A version only goes with its graph, so there is nothing to do when it goes.
    active_version = models.ForeignKey(
        "GraphVersion",
        on_delete=models.DO_NOTHING,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    forked_from = models.ForeignKey(
        "GraphVersion", on_delete=models.SET_NULL, null=True, blank=True, related_name="forks"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    # It was deleted, but something that is kept (a run) still tells of it. Nobody finds it any more.
    deleted_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-id"]
        indexes = [
            # The list of a user's graphs, newest first.
            models.Index(fields=["owner", "-id"], name="graph_by_owner"),
            # Upkeep: those that may go when the last run of them has.
            models.Index(fields=["id"], condition=models.Q(deleted_at__isnull=False), name="graph_hidden"),
        ]

    def __str__(self) -> str:
        """Name the graph the way its owner does."""
        return self.active_version.name if self.active_version else str(self.pk)


class GraphVersion(models.Model):
    """One immutable state of a graph. `node_count` and `link_count` seal it: rows beyond them are refused."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    graph = models.ForeignKey(Graph, on_delete=models.CASCADE, related_name="versions", db_index=False)
    version = models.PositiveIntegerField()
    name = models.CharField(max_length=MAX_NAME_LENGTH)
    description = models.TextField(blank=True)
    settings = OrderedJSONField(default=dict, blank=True)
    node_count = models.PositiveIntegerField(default=0)
    link_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            # A graph's versions, found by number.
            models.UniqueConstraint(fields=["graph", "version"], name="version_number_once_per_graph"),
            # What Graph.active_version's foreign key points at.
            models.UniqueConstraint(fields=["graph", "id"], name="version_belongs_to_one_graph"),
            models.CheckConstraint(condition=models.Q(version__gte=1), name="version_counts_from_1"),
        ]

    def __str__(self) -> str:
        """Name the version and its number."""
        return f"{self.name} v{self.version}"

    def document(self) -> GraphDocument:
        """Return the version as plain data. Two queries, none if nodes and links were prefetched."""
        return GraphDocument(
            name=self.name,
            description=self.description,
            nodes=tuple(node.document() for node in self.nodes.all()),
            links=tuple(link.document() for link in self.links.all()),
            settings=self.settings,
        )


class Node(models.Model):
    """One use of a block in a version. `node_id` stays the same from version to version."""

    version = models.ForeignKey(GraphVersion, on_delete=models.CASCADE, related_name="nodes", db_index=False)
    position = models.PositiveIntegerField()
    node_id = models.UUIDField()
    block_id = models.CharField(max_length=MAX_BLOCK_ID_LENGTH)
    input_default = OrderedJSONField(default=dict, blank=True)
    metadata = OrderedJSONField(default=dict, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            # What links point at.
            models.UniqueConstraint(fields=["version", "node_id"], name="node_id_once_per_version"),
            # The nodes of a version, in order.
            models.UniqueConstraint(fields=["version", "position"], name="node_position_once_per_version"),
        ]

    def __str__(self) -> str:
        """Identify the node within its version."""
        return str(self.node_id)

    def document(self) -> NodeDocument:
        """Return the node as plain data."""
        return NodeDocument(
            id=self.node_id, block_id=self.block_id, input_default=self.input_default, metadata=self.metadata
        )


class Link(models.Model):
    """A link of a version. Its ends are nodes of the same version: a trigger in the migration looks."""

    version = models.ForeignKey(GraphVersion, on_delete=models.CASCADE, related_name="links", db_index=False)
    position = models.PositiveIntegerField()
    link_id = models.UUIDField()
    source_id = models.UUIDField()
    source_name = models.TextField()
    sink_id = models.UUIDField()
    sink_name = models.TextField()
    is_static = models.BooleanField(default=False)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["version", "link_id"], name="link_id_once_per_version"),
            # The links of a version, in order: the order is part of the graph's meaning.
            models.UniqueConstraint(fields=["version", "position"], name="link_position_once_per_version"),
        ]

    def __str__(self) -> str:
        """Read like the arrow it is."""
        return f"{self.source_id}.{self.source_name} → {self.sink_id}.{self.sink_name}"

    def document(self) -> LinkDocument:
        """Return the link as plain data."""
        return LinkDocument(
            id=self.link_id,
            source_id=self.source_id,
            source_name=self.source_name,
            sink_id=self.sink_id,
            sink_name=self.sink_name,
            is_static=self.is_static,
        )
