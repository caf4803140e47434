"""Inputs that are kept to be run with again."""

from django.conf import settings
from django.db import models

from execution.models.wishes import KeptWishes
from graphs.models import new_id

MAX_PRESET_NAME_LENGTH = 200


class Preset(KeptWishes):
    """Inputs for a graph, kept under a name to be run with again. Without a version the graph's active one is run."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    graph = models.ForeignKey("graphs.Graph", on_delete=models.CASCADE, related_name="+")
    graph_version = models.PositiveIntegerField(null=True)
    name = models.CharField(max_length=MAX_PRESET_NAME_LENGTH)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["user", "-id"], name="preset_list_of_user")]

    def __str__(self) -> str:
        """Name the preset."""
        return self.name
