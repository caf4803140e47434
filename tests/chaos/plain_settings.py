"""Settings of what is measured beside chaos: the project's own and the blocks of the tests, on servers of its own."""

from config.settings import *  # noqa: F403
from config.settings import BLOCK_MODULES

BLOCK_MODULES = [*BLOCK_MODULES, "tests.execution.blocks"]
EMBEDDED_SERVERS = ()
