"""`python -m bench [SUITE]`: measure in a folder of its own, with servers of its own.

Settings are read once, so the measuring is a process of its own that gets them in its environment.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Final

from bench.options import parse
from bench.peers.environments import PEERS_VARIABLE, install_all
from config.local import BASE_DIR, open_folder, try_lock
from execution.workers import die_with_parent

LEAVE_SECONDS: Final = 60.0
# More than all that is measured costs.
CREDITS: Final = 10**9
OTHER_SERVERS: Final = frozenset({"DATABASE_URL", "REDIS_URL", "BROKER_URL", "DATABASE_NAME", "REDIS_DATABASE"})


class ToldToStopError(Exception):
    """Somebody has sent us SIGTERM."""


def main(arguments: list[str]) -> int:
    """Run the benchmark below `.local/bench`: on the disk that the project's own data are on."""
    install_all(parse(arguments).peers)
    signal.signal(signal.SIGTERM, _on_sigterm)
    with _own_folder() as local:
        kept = {name: value for name, value in os.environ.items() if name not in OTHER_SERVERS}
        own = {
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "LOCAL_DIR": str(local),
            "LOG_LEVEL": "WARNING",
            "INITIAL_CREDITS": str(CREDITS),
            PEERS_VARIABLE: str(open_folder("bench", "peers")),
        }
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "bench.run", *arguments],
            cwd=BASE_DIR,
            env={**kept, **own},
            stdin=subprocess.DEVNULL,
            preexec_fn=partial(die_with_parent, signal.SIGKILL),
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal has told it, too: it ends what it has started.
            return process.wait(LEAVE_SECONDS)
        except ToldToStopError:
            process.terminate()
            return process.wait(LEAVE_SECONDS)
        finally:
            process.kill()
            process.wait()


@contextmanager
def _own_folder() -> Iterator[Path]:
    """Make a folder that is removed in the end; remove those of benchmarks that were killed."""
    folder = open_folder("bench")
    for left in folder.glob("run-*"):
        with (left / "lock").open("a") as lock:
            if try_lock(lock.fileno()):
                shutil.rmtree(left, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix="run-", dir=folder, ignore_cleanup_errors=True) as own,
        (Path(own) / "lock").open("a") as lock,
    ):
        try_lock(lock.fileno())
        yield Path(own)


def _on_sigterm(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    raise ToldToStopError


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
