"""Graphs and blocks as the API shows them. Names are those of AutoGPT's API."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from graphs.blocks.contract import CostType, Kind
from graphs.blocks.interfaces import NO_DEFAULT, InputPin, Interface
from graphs.costs import list_costs
from graphs.credentials import describe_fields
from graphs.models import MAX_NAME_LENGTH, Graph, GraphVersion, Link, Node
from graphs.services import ImportedGraph
from graphs.signature import input_schema, output_schema

KIND_NAMES = [kind.value for kind in Kind]
COST_TYPE_NAMES = [kind.value for kind in CostType]

_JSON_SCHEMA = {"type": "object", "additionalProperties": True}


class GraphSummarySerializer(serializers.ModelSerializer[Graph]):
    """A graph in a list. Name, description and number are those of its active version."""

    id = serializers.UUIDField(read_only=True, help_text="The graph's id; it is the same for all versions.")
    version = serializers.IntegerField(source="active_version.version", help_text="The number of its active version.")
    name = serializers.CharField(source="active_version.name", help_text="What it is called.")
    description = serializers.CharField(source="active_version.description", help_text="What it is for; may be empty.")
    forked_from_id = serializers.UUIDField(
        source="forked_from.graph_id", default=None, allow_null=True, help_text="The graph that it is a copy of."
    )
    forked_from_version = serializers.IntegerField(
        source="forked_from.version", default=None, allow_null=True, help_text="The version that it is a copy of."
    )
    created_at = serializers.DateTimeField(read_only=True, help_text="When it was made.")
    updated_at = serializers.DateTimeField(read_only=True, help_text="When its active version was last changed.")

    class Meta:
        model = Graph
        fields = [
            "id",
            "version",
            "name",
            "description",
            "forked_from_id",
            "forked_from_version",
            "created_at",
            "updated_at",
        ]


class VersionSummarySerializer(serializers.ModelSerializer[GraphVersion]):
    """A version in a list."""

    id = serializers.UUIDField(source="graph_id", help_text="The graph's id; it is the same for all versions.")
    version = serializers.IntegerField(help_text="The version's number, from 1.")
    is_active = serializers.SerializerMethodField(help_text="Whether it runs when no other is asked for.")
    name = serializers.CharField(help_text="What it is called.")
    description = serializers.CharField(help_text="What it is for; may be empty.")
    forked_from_id = serializers.UUIDField(
        source="graph.forked_from.graph_id", default=None, allow_null=True, help_text="The graph that it is a copy of."
    )
    forked_from_version = serializers.IntegerField(
        source="graph.forked_from.version", default=None, allow_null=True, help_text="The version that it is a copy of."
    )
    node_count = serializers.IntegerField(help_text="How many nodes it has.")
    link_count = serializers.IntegerField(help_text="How many links it has.")
    created_at = serializers.DateTimeField(help_text="When it was saved.")

    class Meta:
        model = GraphVersion
        fields = [
            "id",
            "version",
            "is_active",
            "name",
            "description",
            "forked_from_id",
            "forked_from_version",
            "node_count",
            "link_count",
            "created_at",
        ]

    def get_is_active(self, version: GraphVersion) -> bool:
        """Whether this is the version that runs when no other is asked for."""
        return version.graph.active_version_id == version.pk


class NodeSerializer(serializers.ModelSerializer[Node]):
    """A node of a version."""

    id = serializers.UUIDField(source="node_id", help_text="The node's id; it is the same in all versions.")
    block_id = serializers.CharField(help_text="The block that it uses; see `/v1/blocks`.")
    input_default = serializers.DictField(help_text="Constants by input pin.")
    metadata = serializers.DictField(
        help_text="`customized_name`, `position`, `ordered`, `retry`, `time_limit` and whatever else came along."
    )

    class Meta:
        model = Node
        fields = ["id", "block_id", "input_default", "metadata"]


class LinkSerializer(serializers.ModelSerializer[Link]):
    """A link of a version. Links stand in the order in which they deliver."""

    id = serializers.UUIDField(source="link_id", help_text="The link's id.")
    source_id = serializers.UUIDField(help_text="The node that it comes from.")
    source_name = serializers.CharField(help_text="The output pin that it comes from.")
    sink_id = serializers.UUIDField(help_text="The node that it leads to.")
    sink_name = serializers.CharField(help_text="The input pin that it leads to.")
    is_static = serializers.BooleanField(help_text="Whether its newest value stays and fills the pin again and again.")

    class Meta:
        model = Link
        fields = ["id", "source_id", "source_name", "sink_id", "sink_name", "is_static"]


class GraphSerializer(VersionSummarySerializer):
    """One version of a graph with everything in it."""

    settings = serializers.DictField(
        help_text="What it asks of its runs: `max_node_executions`, `on_error`, `max_duration`, `idle_limit`, …"
    )
    nodes = NodeSerializer(many=True, help_text="Its nodes.")
    links = LinkSerializer(many=True, help_text="Its links, in the order in which they deliver.")
    input_schema = serializers.SerializerMethodField(help_text="What a run takes, as JSON Schema.")
    output_schema = serializers.SerializerMethodField(help_text="What a run gives, as JSON Schema.")
    credentials_input_schema = serializers.SerializerMethodField(
        help_text="Which credentials a run takes references to (`input_credentials`), as JSON Schema."
    )

    class Meta:
        model = GraphVersion
        fields = [
            "id",
            "version",
            "is_active",
            "name",
            "description",
            "forked_from_id",
            "forked_from_version",
            "settings",
            "nodes",
            "links",
            "input_schema",
            "output_schema",
            "credentials_input_schema",
            "created_at",
        ]

    @extend_schema_field(_JSON_SCHEMA)
    def get_input_schema(self, version: GraphVersion) -> dict[str, Any]:
        """Describe what a run of the graph takes, as JSON Schema."""
        return input_schema(version.document())

    @extend_schema_field(_JSON_SCHEMA)
    def get_output_schema(self, version: GraphVersion) -> dict[str, Any]:
        """Describe what a run of the graph gives, as JSON Schema."""
        return output_schema(version.document())

    @extend_schema_field(_JSON_SCHEMA)
    def get_credentials_input_schema(self, version: GraphVersion) -> dict[str, Any]:
        """Describe which credentials a run takes references to, as JSON Schema."""
        return describe_fields(version.document())


class ImportedGraphSerializer(GraphSerializer):
    """A graph that was just saved, with its sub-graphs and what the importer has to say."""

    sub_graphs = VersionSummarySerializer(many=True, help_text="The graphs that were saved along with it.")
    warnings = serializers.ListField(
        child=serializers.CharField(), help_text="What was changed, and what may not work, a sentence each."
    )

    class Meta(GraphSerializer.Meta):
        fields = [*GraphSerializer.Meta.fields, "sub_graphs", "warnings"]


class DeletedGraphSerializer(serializers.Serializer[Any]):
    """What was deleted."""

    version_counts = serializers.IntegerField(help_text="How many versions the graph had.")


class NodeDocumentSerializer(serializers.Serializer[Any]):
    """A node of a graph that is to be saved."""

    id = serializers.CharField(help_text="Any name that is unique in the graph; links refer to it.")
    block_id = serializers.CharField(help_text="The block that it uses; see `/v1/blocks`.")
    input_default = serializers.DictField(required=False, help_text="Constants by input pin.")
    metadata = serializers.DictField(required=False, help_text="`customized_name`, `position`, `ordered`, …")


class LinkDocumentSerializer(serializers.Serializer[Any]):
    """A link of a graph that is to be saved."""

    id = serializers.CharField(required=False, help_text="Any name that is unique in the graph.")
    source_id = serializers.CharField(help_text="The node that it comes from.")
    source_name = serializers.CharField(help_text="The output pin that it comes from.")
    sink_id = serializers.CharField(help_text="The node that it leads to.")
    sink_name = serializers.CharField(help_text="The input pin that it leads to.")
    is_static = serializers.BooleanField(required=False, help_text="Whether its newest value stays.")


class GraphDocumentSerializer(serializers.Serializer[Any]):
    """A graph as AutoGPT exports it; it may also stand in `{"graph": …}`. Only describes: the importer reads it."""

    name = serializers.CharField(max_length=MAX_NAME_LENGTH, required=False, help_text="What it is called.")
    description = serializers.CharField(required=False, allow_blank=True, help_text="What it is for.")
    nodes = NodeDocumentSerializer(many=True, help_text="Its nodes.")
    links = LinkDocumentSerializer(many=True, required=False, help_text="Its links, in the order of delivery.")
    settings = serializers.DictField(required=False, help_text="What it asks of its runs.")
    sub_graphs = serializers.ListField(
        child=serializers.DictField(), required=False, help_text="Graphs that it runs, in the same form."
    )


def show_imported(imported: ImportedGraph) -> dict[str, Any]:
    """Return what `ImportedGraphSerializer` describes."""
    return {
        **GraphSerializer(imported.version).data,
        "sub_graphs": VersionSummarySerializer(imported.sub_graphs, many=True).data,
        "warnings": list(imported.warnings),
    }


class ExportedGraphSerializer(GraphDocumentSerializer):
    """A graph for another place: AutoGPT's JSON, without secrets."""

    id = serializers.CharField(help_text="The graph's id here; it gets another one where it is imported.")
    version = serializers.IntegerField(help_text="The version's number here.")
    is_active = serializers.BooleanField(help_text="Whether it is the active version here.")
    instructions = serializers.CharField(allow_null=True, help_text="What people should know to use it.")
    recommended_schedule_cron = serializers.CharField(allow_null=True, help_text="When it had better be run.")
    input_schema = serializers.DictField(help_text="What a run takes, as JSON Schema.")
    output_schema = serializers.DictField(help_text="What a run gives, as JSON Schema.")


class ActiveVersionSerializer(serializers.Serializer[Any]):
    """Which version is to be the active one."""

    active_graph_version = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, required=False, help_text="The number of the version."
    )
    version = serializers.IntegerField(
        min_value=1, max_value=2**31 - 1, required=False, help_text="The same as `active_graph_version`."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take the number under either name."""
        numbers = set(attrs.values())
        if len(numbers) != 1:
            raise serializers.ValidationError({"active_graph_version": ["Name one version."]})
        return {"active_graph_version": numbers.pop()}


class CostSerializer(serializers.Serializer[Any]):
    """One line of a price list."""

    amount = serializers.FloatField(help_text="Credits (1 credit is 1 US cent).")
    type = serializers.ChoiceField(choices=COST_TYPE_NAMES, help_text="What it is paid for: a run, a second, a byte, …")
    divisor = serializers.FloatField(help_text="For SECOND and ITEMS: the amount is for so many.")
    filter = serializers.DictField(help_text="It holds for inputs that contain this.")
    rates = serializers.DictField(help_text="For TOKENS, by model and kind of token, per million.")


class BlockSerializer(serializers.Serializer[Interface]):
    """A block: what it is for, its pins as JSON Schema, its costs in credits, and whether it can run here."""

    id = serializers.CharField(help_text="The block's id; it never changes.")
    name = serializers.CharField(help_text="What it is called.")
    description = serializers.CharField(help_text="What it does.")
    kind = serializers.ChoiceField(choices=KIND_NAMES, help_text="How the engine treats it.")
    inputSchema = serializers.SerializerMethodField(  # noqa: N815 - the names of AutoGPT's API
        help_text="Its input pins, as JSON Schema."
    )
    outputSchema = serializers.SerializerMethodField(help_text="Its output pins, as JSON Schema.")  # noqa: N815
    staticOutput = serializers.BooleanField(  # noqa: N815
        source="static_output", help_text="Whether links from it are static."
    )
    costs = serializers.SerializerMethodField(
        help_text="What it costs now: the first line that fits its inputs; where none does it is free."
    )
    available = serializers.BooleanField(help_text="Whether it can run here; if not, only its pins are known.")

    @extend_schema_field(_JSON_SCHEMA)
    def get_inputSchema(self, interface: Interface) -> dict[str, Any]:  # noqa: N802
        """Describe the input pins."""
        pins = interface.inputs
        return {
            "type": "object",
            "properties": {name: _describe_pin(pin) for name, pin in pins.items()},
            "required": [name for name, pin in pins.items() if pin.required],
        }

    @extend_schema_field(_JSON_SCHEMA)
    def get_outputSchema(self, interface: Interface) -> dict[str, Any]:  # noqa: N802
        """Describe the output pins."""
        return {"type": "object", "properties": {name: dict(schema) for name, schema in interface.outputs.items()}}

    @extend_schema_field(CostSerializer(many=True))
    def get_costs(self, interface: Interface) -> list[dict[str, Any]]:
        """List what a run of the block costs."""
        return list_costs(interface.id)


def _describe_pin(pin: InputPin) -> dict[str, Any]:
    described = dict(pin.schema)
    if pin.default is not NO_DEFAULT:
        described["default"] = pin.default
    if pin.secret:
        described["secret"] = True
    return described
