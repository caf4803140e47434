"""What a replay takes of a run with many large values: `python -m pytest -s tests/execution/measure_replaying.py`.

Not part of the suite. The memory is what the process takes at most beyond what it had before, as the kernel counts it.
"""

import re
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from pytest_django import Settings

from execution.models import NodeExecution
from execution.services import replay_execution
from execution.store.admission import _ADMISSION_LOCK
from tests.execution.drain import Drain
from tests.execution.long_texts import run_long_texts

pytestmark = pytest.mark.django_db(transaction=True)

COUNT = 1000
LOOK_SECONDS = 0.001
_HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND granted"


class Watch:
    """Measures how long somebody has the lock behind which a user's runs start."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._over = threading.Event()
        where = connection.get_connection_params()
        self._session = psycopg.connect(
            autocommit=True, dbname=where["dbname"], user=where.get("user"), host=where.get("host")
        )
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._session.close()

    def _look(self) -> None:
        last = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            ((held,),) = self._session.execute(_HELD, [_ADMISSION_LOCK]).fetchall()
            now = time.monotonic()
            self.seconds += (now - last) if held else 0.0
            last = now


def memory(field: str) -> int:
    """Return how much memory (bytes) this process has, or had at most."""
    (found,) = re.findall(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found) * 1024


@pytest.mark.parametrize("length", [100_000, 50_000])
def test_measure(user: User, drain: Drain, settings: Settings, tmp_path: Path, length: int) -> None:
    settings.BLOCK_MODULES = [*settings.BLOCK_MODULES, "tests.execution.blocks"]
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}},
    }
    origin = run_long_texts(user, drain, count=COUNT, length=length)
    last = NodeExecution.objects.filter(execution=origin).latest("id")
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")

    with Watch() as watch:
        began = time.monotonic()
        replay_execution(execution_id=origin.pk, node_execution_id=last.pk)
        took = time.monotonic() - began

    more = (memory("VmHWM") - before) / 2**20
    sys.stdout.write(
        f"\n{COUNT} values of {length:,} bytes: {took:.2f} s, {more:.0f} MiB at most,"
        f" {watch.seconds:.2f} s of them under the user's lock\n"
    )
