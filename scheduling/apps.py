"""The app that starts runs by itself."""

from importlib import import_module

from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    """Schedules, and what became of their due times."""

    name = "scheduling"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen to what else changes."""
        import_module("scheduling.receivers")
