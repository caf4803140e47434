"""What runs are started, replayed and changed with. Names are those of AutoGPT's API."""

from typing import Any

from rest_framework import serializers

from execution.models import MAX_LABEL_LENGTH, OnError, OnInsufficientCredits
from graphs.credential_serializers import CredentialsField


def take_other_names(attrs: dict[str, Any], **name_of: str) -> dict[str, Any]:
    """Return what was given under its own name, where AutoGPT's clients call it something else: {other name: name}."""
    for other_name, name in name_of.items():
        other = attrs.pop(other_name, None)
        if other is not None and attrs.get(name):
            raise serializers.ValidationError({other_name: [f"Give either `{name}` or `{other_name}`."]})
        if other is not None:
            attrs[name] = other
    return attrs


class CostWishesSerializer(serializers.Serializer[Any]):
    """What a run may cost, and what happens without credits."""

    max_cost = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=10**12,
        help_text="Credits that the run and its sub-runs may cost; beyond them it fails. Null: as many as there are.",
    )
    on_insufficient_credits = serializers.ChoiceField(
        required=False,
        choices=OnInsufficientCredits.choices,
        help_text="Without credits for a node the run fails (`fail`), or waits and goes on after a top-up (`park`).",
    )


class StartSerializer(CostWishesSerializer):
    """What a run is started with."""

    input_data = serializers.DictField(default=dict, help_text="The run's inputs by name. AutoGPT's `inputs` will do.")
    inputs = serializers.DictField(required=False, help_text="The same as `input_data`.")
    nodes_input_masks = serializers.DictField(
        child=serializers.DictField(), default=dict, help_text="{node id: {pin: value}}: what stands in for inputs."
    )
    max_duration = serializers.FloatField(
        required=False, min_value=0.001, help_text="Seconds after which the run fails, instead of what its graph asks."
    )
    on_error = serializers.ChoiceField(
        choices=OnError.choices,
        required=False,
        help_text="What a failed node does to the run, instead of what its graph asks.",
    )
    dry_run = serializers.BooleanField(
        default=False, help_text="Simulate: blocks that need a network or credentials emit made-up values."
    )
    label = serializers.CharField(  # type: ignore[assignment]  # a name, not the attribute
        default="", allow_blank=True, max_length=MAX_LABEL_LENGTH, help_text="What to call the run, to find it again."
    )
    input_credentials = CredentialsField(default=dict)
    credentials_inputs = CredentialsField(required=False, help_text="The same as `input_credentials`.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Take the inputs under either name."""
        return take_other_names(attrs, inputs="input_data", credentials_inputs="input_credentials")


class ReplaySerializer(serializers.Serializer[Any]):
    """From where on a run is replayed."""

    node_execution_id = serializers.UUIDField(
        help_text="It runs again, and so does all that follows from it. Other completed node executions are reused."
    )
    graph_version = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="The version to run: that of the run, or a newer one.",
    )


class ExecutionChangeSerializer(serializers.Serializer[Any]):
    """What can be changed of a run."""

    label = serializers.CharField(allow_blank=True, max_length=MAX_LABEL_LENGTH, help_text="What to call it.")  # type: ignore[assignment]  # a name, not the attribute
