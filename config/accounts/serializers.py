"""Accounts as the API shows them."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework import serializers

from config.models import MAX_KEY_NAME_LENGTH, MAX_ZONE_LENGTH, ApiKey, Scope
from scheduling.moments import list_zones

SCOPES = [scope.value for scope in Scope]


# What AutoGPT's clients call them.
AUTOGPT_PERMISSIONS = {
    "EXECUTE_GRAPH": Scope.EXECUTE,
    "READ_GRAPH": Scope.READ,
    "EXECUTE_BLOCK": Scope.EXECUTE,
    "READ_BLOCK": Scope.READ,
}


def check_zone(name: str) -> str:
    """Return the name of a zone; it may be empty. Raises `ValidationError`."""
    if name and name not in list_zones():
        raise serializers.ValidationError("This is not the name of an IANA time zone, such as Europe/Berlin.")
    return name


def choose_time_zone(user: User, name: str) -> User:
    """Set the user's zone; the installation's counts if it is empty."""
    user.profile.chosen_time_zone = name
    user.profile.save(update_fields=["chosen_time_zone"])
    return user


class MeSerializer(serializers.ModelSerializer[User]):
    """The account that asks."""

    id = serializers.IntegerField(read_only=True, help_text="The account's number.")
    username = serializers.CharField(read_only=True, help_text="The name to log in with.")
    email = serializers.CharField(read_only=True, help_text="The e-mail address; empty if there is none.")
    first_name = serializers.CharField(
        max_length=150, allow_blank=True, required=False, help_text="First name; may be empty."
    )
    last_name = serializers.CharField(
        max_length=150, allow_blank=True, required=False, help_text="Last name; may be empty."
    )
    time_zone = serializers.CharField(
        source="profile.time_zone",
        max_length=MAX_ZONE_LENGTH,
        allow_blank=True,
        required=False,
        help_text="IANA name; for schedules and clocks. Set it empty to follow the installation's.",
    )
    is_staff = serializers.BooleanField(read_only=True, help_text="Whether the account may use the admin.")
    date_joined = serializers.DateTimeField(read_only=True, help_text="When the account was made.")
    scopes = serializers.SerializerMethodField(help_text="What this key, or this session, may do.")

    class Meta:
        model = User
        fields = [
            "id",
            "username",
            "email",
            "first_name",
            "last_name",
            "time_zone",
            "is_staff",
            "date_joined",
            "scopes",
        ]

    def get_scopes(self, user: User) -> list[str]:
        """Return the key's scopes; a session has all."""
        del user
        key = self.context["request"].auth
        return list(key.scopes) if isinstance(key, ApiKey) else SCOPES

    def validate_time_zone(self, value: str) -> str:
        """Refuse what is no zone."""
        return check_zone(value)

    def update(self, instance: User, validated_data: dict[str, Any]) -> User:
        """Save the names with the user and the zone with the profile."""
        zone = validated_data.pop("profile", {}).get("time_zone")
        if zone is not None:
            choose_time_zone(instance, zone)
        if validated_data:
            for name, value in validated_data.items():
                setattr(instance, name, value)
            instance.save(update_fields=list(validated_data))
        return instance


class ApiKeySerializer(serializers.ModelSerializer[ApiKey]):
    """An API key, without the key itself."""

    id = serializers.UUIDField(read_only=True, help_text="The key's id.")
    name = serializers.CharField(max_length=MAX_KEY_NAME_LENGTH, help_text="What it is for.")
    prefix = serializers.CharField(source="shown", read_only=True, help_text="How the key begins.")
    scopes = serializers.MultipleChoiceField(
        choices=SCOPES,
        allow_empty=False,
        help_text="What it may do: read, execute (start and stop runs), write, credits.",
    )
    created_at = serializers.DateTimeField(read_only=True, help_text="When it was made.")
    expires_at = serializers.DateTimeField(
        allow_null=True, required=False, help_text="When it stops working; null: never."
    )
    last_used_at = serializers.DateTimeField(
        allow_null=True, read_only=True, help_text="When it was last used, to the minute."
    )
    suspended_at = serializers.DateTimeField(
        allow_null=True, read_only=True, help_text="Since when it opens nothing, until it is resumed; null: it is not."
    )
    revoked_at = serializers.DateTimeField(
        allow_null=True, read_only=True, help_text="When it was revoked; null: it was not."
    )

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "name",
            "prefix",
            "scopes",
            "created_at",
            "expires_at",
            "last_used_at",
            "suspended_at",
            "revoked_at",
        ]

    def validate_expires_at(self, value: datetime | None) -> datetime | None:
        """Refuse a key that would open nothing."""
        if value is not None and value <= timezone.now():
            raise serializers.ValidationError("This has passed: the key would open nothing.")
        return value

    def to_representation(self, instance: ApiKey) -> dict[str, Any]:
        """Show the scopes in their usual order."""
        return {**super().to_representation(instance), "scopes": [each for each in SCOPES if each in instance.scopes]}


class NewApiKeySerializer(ApiKeySerializer):
    """An API key that was just made, with the key itself: it is never shown again."""

    key = serializers.CharField(
        read_only=True, help_text="The key: send it as `Authorization: Bearer KEY`. It is shown this once."
    )

    class Meta(ApiKeySerializer.Meta):
        fields = [*ApiKeySerializer.Meta.fields, "key"]


class RenameKeySerializer(serializers.Serializer[Any]):
    """A new name for a key."""

    name = serializers.CharField(max_length=MAX_KEY_NAME_LENGTH, help_text="What it is for.")


class PermissionsSerializer(serializers.Serializer[Any]):
    """What a key is to do."""

    permissions = serializers.MultipleChoiceField(
        choices=[*SCOPES, *AUTOGPT_PERMISSIONS],
        allow_empty=False,
        help_text="Scopes; AutoGPT's names of `read` and `execute` will do.",
    )

    def validate_permissions(self, names: set[str]) -> set[str]:
        """Return the scopes."""
        return {str(AUTOGPT_PERMISSIONS.get(name, name)) for name in names}


class TimeZoneSerializer(serializers.Serializer[User]):
    """A time zone."""

    timezone = serializers.CharField(
        source="profile.time_zone", max_length=MAX_ZONE_LENGTH, help_text="IANA name, such as Europe/Berlin."
    )

    def validate_timezone(self, value: str) -> str:
        """Refuse what is no zone."""
        return check_zone(value)

    def update(self, instance: User, validated_data: dict[str, Any]) -> User:
        """Save the zone with the profile."""
        return choose_time_zone(instance, validated_data["profile"]["time_zone"])


class LoginSerializer(serializers.Serializer[Any]):
    """A name and its password."""

    username = serializers.CharField(max_length=150, help_text="The account's name.")
    password = serializers.CharField(
        max_length=4096, trim_whitespace=False, write_only=True, help_text="The account's password."
    )
