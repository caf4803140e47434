"""The app that brings the fake clock into a process."""

from importlib import import_module

from django.apps import AppConfig


class FakeClockConfig(AppConfig):
    """Stands before the other apps: what they import from `scheduling.store` is then what is put there here."""

    name = "tests.scheduling"
    label = "fake_clock"

    def ready(self) -> None:
        """Put the fake clock in the place of the real one."""
        import_module("tests.scheduling.fake_clock").use_fake_clock()
