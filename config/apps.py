"""The app that puts the others together."""

from importlib import import_module

from django.apps import AppConfig

from config.celery import app as celery_app


class ConfigConfig(AppConfig):
    """Settings, URLs and the commands that run the whole stack."""

    name = "config"
    celery_app = celery_app

    def ready(self) -> None:
        """Tell users what other apps say has happened to what is theirs."""
        # Models aren't loaded before.
        import_module("config.notices.receivers")
