"""References to credentials as the API takes and shows them."""

from typing import Any

from rest_framework import serializers

from graphs.credentials import TYPES


class CredentialsReferenceSerializer(serializers.Serializer[Any]):
    """Which credentials are meant. Never the credentials themselves."""

    id = serializers.CharField(max_length=255, help_text="Their id, where they are kept.")
    provider = serializers.CharField(max_length=100, help_text="Whose service they open.")
    type = serializers.ChoiceField(
        choices=TYPES,
        help_text="What they are.",
        error_messages={"invalid_choice": f"Must be one of {', '.join(TYPES)}."},
    )
    title = serializers.CharField(
        max_length=255, required=False, allow_null=True, allow_blank=True, help_text="What their owner calls them."
    )

    def to_internal_value(self, data: Any) -> Any:
        """Refuse what is no reference: it may be a secret, so it is not repeated."""
        if isinstance(data, dict) and not data.keys() <= self.fields.keys():
            told = "Only id, provider, type and title: credentials themselves are never sent along."
            raise serializers.ValidationError({"non_field_errors": [told]})
        return dict(super().to_internal_value(data))


class CredentialsField(serializers.DictField):
    """{name of the graph's field: reference}."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("help_text", "{field of the graph's `credentials_input_schema`: which credentials}.")
        super().__init__(child=CredentialsReferenceSerializer(), **options)

    def run_child_validation(self, data: Any) -> Any:
        """Say what is wrong with a reference; the name that it came under is not repeated either."""
        try:
            return super().run_child_validation(data)
        except serializers.ValidationError as error:
            first = next(iter(error.detail.values())) if isinstance(error.detail, dict) else error.detail
            raise serializers.ValidationError(first) from None
