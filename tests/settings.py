"""Settings of the test suite: the project's own, on a database and a broker that no other process uses."""

import os

from config import embedded
from config.local import open_lock, try_lock
from tests.rabbitmq import with_own_host

_BROKER_DATABASES = range(1, 16)


def _claim_broker_database() -> str:
    """Return the number of a Redis database that is ours while this process lives; 0 is left to a running stack.

    With RabbitMQ it is the number of a virtual host.
    """
    for number in _BROKER_DATABASES:
        if try_lock(open_lock(f"test-broker-{number}.lock")):
            return str(number)
    raise RuntimeError("All Redis databases for tests are in use by other test runs.")


# A process of pytest-xdist inherits the number of the one that started it, which is no good to it: workers of one would
# take the messages of the other.
if "PYTEST_XDIST_WORKER" in os.environ or "REDIS_DATABASE" not in os.environ:
    os.environ["REDIS_DATABASE"] = _claim_broker_database()
    if os.environ.get("BROKER_URL", "").startswith(("amqp", "pyamqp")):
        # The processes that tests start inherit it.
        os.environ["BROKER_URL"] = with_own_host(os.environ["BROKER_URL"], number=os.environ["REDIS_DATABASE"])

from config.settings import *  # noqa: E402, F403
from config.settings import DATABASES, EMBEDDED_SERVERS  # noqa: E402

TEST_DATABASE_PREFIX = "test_run_"
# So sessions of this process are told from those of others that it starts.
DATABASES["default"]["OPTIONS"]["application_name"] = f"tests-{os.getpid()}"
DATABASES["default"]["ENGINE"] = "tests.postgresql"
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
