"""Keeps so many beats alive, each a process of its own that can be killed: `python -m tests.scheduling.beat_nursery 2`.

They are forked from a process that has loaded everything, so a new one is there in a moment, and looks every 20 ms.
"""

import os
import signal
import sys
import traceback
from importlib import import_module
from typing import Any

from config.celery import app
from execution.workers import die_with_parent

LOOK_SECONDS = 0.02


def main(count: int) -> None:
    """Run `count` beats; whichever ends is replaced."""
    app.loader.import_default_modules()
    beat: Any = import_module("scheduling.beat")
    beat.LOOK_SECONDS = LOOK_SECONDS
    for _ in range(count):
        _start()
    while True:
        os.wait()
        _start()


def _start() -> None:
    if os.fork():
        return
    die_with_parent(signal.SIGKILL)
    try:
        app.Beat(loglevel="WARNING", schedule="", pidfile=None, quiet=True).run()
    finally:
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
