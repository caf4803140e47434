"""Settings of a chaos run: the tests' blocks, every message sent twice, and servers that the run itself starts."""

from tests.worker_settings import *  # noqa: F403

# They die and come back as the run wants it: no keeper may start them.
EMBEDDED_SERVERS = ()
