"""Notices as the API shows them."""

from typing import Any

from rest_framework import serializers

from config.models import Notice


class NoticeSerializer(serializers.ModelSerializer[Notice]):
    """Something that a user is told."""

    id = serializers.UUIDField(help_text="The notice's id.")
    kind = serializers.ChoiceField(choices=Notice.Kind.values, help_text="What it tells of.")
    text = serializers.CharField(help_text="What there is to tell, in a sentence or two.")
    about = serializers.DictField(
        child=serializers.UUIDField(), help_text="What it is about: `schedule_id` and `graph_id`, or nothing."
    )
    created_at = serializers.DateTimeField(help_text="When it happened.")
    read_at = serializers.DateTimeField(allow_null=True, help_text="When it was said to be read; null: not yet.")

    class Meta:
        model = Notice
        fields = ["id", "kind", "text", "about", "created_at", "read_at"]


class ReadNoticesSerializer(serializers.Serializer[Any]):
    """What was done to notices."""

    count = serializers.IntegerField(help_text="How many notices were new until now.")
