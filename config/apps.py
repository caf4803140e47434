"""The app that puts the others together."""

from django.apps import AppConfig

from config.celery import app as celery_app


class ConfigConfig(AppConfig):
    """Settings, URLs and the commands that run the whole stack."""

    name = "config"
    celery_app = celery_app
