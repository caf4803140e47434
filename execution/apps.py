"""The app that runs graphs."""

from django.apps import AppConfig


class ExecutionConfig(AppConfig):
    """Runs, node executions and what they emit."""

    name = "execution"
    default_auto_field = "django.db.models.BigAutoField"
