"""Settings of a benchmark: the project's own, with the blocks that only measurements need."""

from config.settings import *  # noqa: F403
from config.settings import BLOCK_MODULES

BLOCK_MODULES = [*BLOCK_MODULES, "bench.blocks"]

# What is measured is the engine, not the reader of a log.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
