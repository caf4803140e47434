"""The app of what can be run: graphs and the blocks they are made of."""

from django.apps import AppConfig


class GraphsConfig(AppConfig):
    """Graphs, their versions, and the blocks."""

    name = "graphs"
    default_auto_field = "django.db.models.BigAutoField"
