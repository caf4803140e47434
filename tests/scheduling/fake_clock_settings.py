"""Settings of processes that go by the fake clock; they send every message twice, as those of all tests do."""

from tests.worker_settings import *  # noqa: F403
from tests.worker_settings import INSTALLED_APPS

INSTALLED_APPS = ["tests.scheduling.fake_clock_app.FakeClockConfig", *INSTALLED_APPS]
# Nothing but schedules has beat's attention.
CELERY_BEAT_SCHEDULE = {}
