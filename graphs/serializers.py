"""Graphs and blocks as the API shows them. Names are those of AutoGPT's API."""

from dataclasses import asdict
from typing import Any

from rest_framework import serializers

from graphs.blocks.interfaces import NO_DEFAULT, InputPin, Interface
from graphs.blocks.registry import find_block
from graphs.models import Graph, GraphVersion, Link, Node
from graphs.services import ImportedGraph
from graphs.signature import input_schema, output_schema


class GraphSummarySerializer(serializers.ModelSerializer[Graph]):
    """A graph in a list. Name, description and number are those of its active version."""

    version = serializers.IntegerField(source="active_version.version")
    name = serializers.CharField(source="active_version.name")
    description = serializers.CharField(source="active_version.description")

    class Meta:
        model = Graph
        fields = ["id", "version", "name", "description", "created_at", "updated_at"]


class VersionSummarySerializer(serializers.ModelSerializer[GraphVersion]):
    """A version in a list."""

    id = serializers.UUIDField(source="graph_id")
    is_active = serializers.SerializerMethodField()

    class Meta:
        model = GraphVersion
        fields = ["id", "version", "is_active", "name", "description", "node_count", "link_count", "created_at"]

    def get_is_active(self, version: GraphVersion) -> bool:
        """Whether this is the version that runs when no other is asked for."""
        return version.graph.active_version_id == version.pk


class NodeSerializer(serializers.ModelSerializer[Node]):
    """A node of a version."""

    id = serializers.UUIDField(source="node_id")
    input_default = serializers.DictField()
    metadata = serializers.DictField()

    class Meta:
        model = Node
        fields = ["id", "block_id", "input_default", "metadata"]


class LinkSerializer(serializers.ModelSerializer[Link]):
    """A link of a version. Links stand in the order in which they deliver."""

    id = serializers.UUIDField(source="link_id")

    class Meta:
        model = Link
        fields = ["id", "source_id", "source_name", "sink_id", "sink_name", "is_static"]


class GraphSerializer(VersionSummarySerializer):
    """One version of a graph with everything in it."""

    settings = serializers.DictField()
    nodes = NodeSerializer(many=True)
    links = LinkSerializer(many=True)
    input_schema = serializers.SerializerMethodField()
    output_schema = serializers.SerializerMethodField()

    class Meta:
        model = GraphVersion
        fields = [
            "id",
            "version",
            "is_active",
            "name",
            "description",
            "settings",
            "nodes",
            "links",
            "input_schema",
            "output_schema",
            "created_at",
        ]

    def get_input_schema(self, version: GraphVersion) -> dict[str, Any]:
        """Describe what a run of the graph takes, as JSON Schema."""
        return input_schema(version.document())

    def get_output_schema(self, version: GraphVersion) -> dict[str, Any]:
        """Describe what a run of the graph gives, as JSON Schema."""
        return output_schema(version.document())


class ImportedGraphSerializer(GraphSerializer):
    """A graph that was just saved, with its sub-graphs and what the importer has to say."""

    sub_graphs = VersionSummarySerializer(many=True)
    warnings = serializers.ListField(child=serializers.CharField())

    class Meta(GraphSerializer.Meta):
        fields = [*GraphSerializer.Meta.fields, "sub_graphs", "warnings"]


def show_imported(imported: ImportedGraph) -> dict[str, Any]:
    """Return what `ImportedGraphSerializer` describes."""
    return {
        **GraphSerializer(imported.version).data,
        "sub_graphs": VersionSummarySerializer(imported.sub_graphs, many=True).data,
        "warnings": list(imported.warnings),
    }


class ActiveVersionSerializer(serializers.Serializer[Any]):
    """Which version is to be the active one."""

    version = serializers.IntegerField(min_value=1)


class BlockSerializer(serializers.Serializer[Interface]):
    """A block: what it is for, its pins as JSON Schema, its costs in credits, and whether it can run here."""

    id = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    kind = serializers.CharField()
    inputSchema = serializers.SerializerMethodField()  # noqa: N815 - the names of AutoGPT's API
    outputSchema = serializers.SerializerMethodField()  # noqa: N815
    staticOutput = serializers.BooleanField(source="static_output")  # noqa: N815
    costs = serializers.SerializerMethodField()
    available = serializers.BooleanField()

    def get_inputSchema(self, interface: Interface) -> dict[str, Any]:  # noqa: N802
        """Describe the input pins."""
        pins = interface.inputs
        return {
            "type": "object",
            "properties": {name: _describe_pin(pin) for name, pin in pins.items()},
            "required": [name for name, pin in pins.items() if pin.required],
        }

    def get_outputSchema(self, interface: Interface) -> dict[str, Any]:  # noqa: N802
        """Describe the output pins."""
        return {"type": "object", "properties": {name: dict(schema) for name, schema in interface.outputs.items()}}

    def get_costs(self, interface: Interface) -> list[dict[str, Any]]:
        """List what a run of the block costs."""
        block = find_block(interface.id)
        return [asdict(cost) for cost in block.costs] if block else []


def _describe_pin(pin: InputPin) -> dict[str, Any]:
    described = dict(pin.schema)
    if pin.default is not NO_DEFAULT:
        described["default"] = pin.default
    if pin.secret:
        described["secret"] = True
    return described
