"""Settings of the test suite: the project's own, on a database and a broker that no other process uses."""

import os

from config import embedded
from config.local import open_lock, try_lock

_BROKER_DATABASES = range(1, 16)


def _claim_broker_database() -> str:
    """Return the number of a Redis database that is ours while this process lives; 0 is left to a running stack."""
    for number in _BROKER_DATABASES:
        if try_lock(open_lock(f"test-broker-{number}.lock")):
            return str(number)
    raise RuntimeError("All Redis databases for tests are in use by other test runs.")


os.environ.setdefault("REDIS_DATABASE", _claim_broker_database())

from config.settings import *  # noqa: E402, F403
from config.settings import DATABASES, EMBEDDED_SERVERS  # noqa: E402

TEST_DATABASE_PREFIX = "test_run_"
DATABASES["default"]["TEST"] = {
    "NAME": os.environ.get("TEST_DATABASE_NAME") or f"{TEST_DATABASE_PREFIX}{os.getpid()}",
    # Dropping and copying are quick only without the template's connections.
    "TEMPLATE": "template0",
}
USES_EMBEDDED_DATABASE = embedded.POSTGRES in EMBEDDED_SERVERS

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
