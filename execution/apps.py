"""The app that runs graphs."""

from importlib import import_module

from django.apps import AppConfig


class ExecutionConfig(AppConfig):
    """Runs, node executions and what they emit."""

    name = "execution"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect what listens to the app of graphs; tell the apps of credits and graphs of prices."""
        import_module("execution.deletion")
        import_module("execution.prices").offer_blocks()
