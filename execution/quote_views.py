"""The API of prices: what a block costs, and what a run will cost."""

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from credits.price_list import PriceList
from credits.pricing import write_costs
from execution.parsers import StorableJSONParser
from execution.prices import find_prices_of
from execution.quotes import quote
from graphs.blocks.registry import find_block, find_interface
from graphs.exceptions import UnknownBlockError
from graphs.serializers import CostSerializer
from graphs.services import get_version


class BlockCostsSerializer(serializers.Serializer[Any]):
    """What a block costs: the first line that fits its inputs; where none does it is free."""

    block_id = serializers.CharField()
    version = serializers.IntegerField(help_text="0 for the price in the code; an entry in the ledger names it.")
    charge_on_failure = serializers.BooleanField(help_text="Whether failed executions cost as well.")
    costs = CostSerializer(many=True)


class QuoteRequestSerializer(serializers.Serializer[Any]):
    """What a run would be started with."""

    nodes_input_masks = serializers.DictField(
        child=serializers.DictField(), default=dict, help_text="{node id: {pin: value}}: what stands in for inputs."
    )


class RangeSerializer(serializers.Serializer[Any]):
    """What is to be expected, and the most that has to be reckoned with."""

    expected = serializers.FloatField()
    most = serializers.IntegerField()


class NodeQuoteSerializer(serializers.Serializer[Any]):
    """What a node will cost, in credits."""

    node_id = serializers.UUIDField()
    name = serializers.CharField()
    block_id = serializers.CharField()
    executions = RangeSerializer(help_text="How often it will run.")
    price = RangeSerializer(help_text="What once costs, sub-runs included.")
    cost = RangeSerializer()


class QuoteSerializer(serializers.Serializer[Any]):
    """What a run will cost, in credits."""

    based_on_runs = serializers.IntegerField(
        help_text="How many runs of this version that is from; without any, each node is reckoned with once."
    )
    cost = RangeSerializer()
    fee = RangeSerializer(help_text="The part of it that is for the number of node executions.")
    nodes = NodeQuoteSerializer(many=True)


class BlockCostsView(APIView):
    """What a block costs."""

    @extend_schema(operation_id="get_block_costs", tags=["blocks"], responses=BlockCostsSerializer)
    def get(self, request: Request, block_id: UUID) -> Response:
        """Return the price list of a block; one that can't run here has none."""
        del request
        interface = find_interface(str(block_id))
        if interface is None:
            raise UnknownBlockError(f"There is no block {block_id}.")
        block = find_block(interface.id)
        prices = find_prices_of(block) if block else PriceList(costs=())
        shown = {
            "block_id": interface.id,
            "version": prices.version,
            "charge_on_failure": prices.charge_on_failure,
            "costs": write_costs(prices.costs),
        }
        return Response(BlockCostsSerializer(shown).data)


class QuoteView(APIView):
    """What a run will cost."""

    parser_classes = [StorableJSONParser]
    required_scopes = {"POST": "read"}

    @extend_schema(
        operation_id="quote_graph",
        tags=["graphs"],
        request=QuoteRequestSerializer,
        responses=QuoteSerializer,
        examples=[OpenApiExample("As it is", value={"nodes_input_masks": {}}, request_only=True)],
    )
    def post(self, request: Request, graph_id: UUID, version: int) -> Response:
        """Return the expected and the highest cost of a run, by node, from history and prices. Nothing is started."""
        wanted = QuoteRequestSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        found = get_version(user=cast(AbstractBaseUser, request.user), graph_id=graph_id, version=version)
        return Response(QuoteSerializer(quote(version=found, masks=wanted.validated_data["nodes_input_masks"])).data)
