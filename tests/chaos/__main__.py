"""`python -m tests.chaos`: users start runs while processes die; nothing may be lost. Exit code 0 if nothing was.

CHAOS_SECONDS (default 180) is how long there are faults, CHAOS_PAUSE (default 3) how many seconds lie between two of
them on average, CHAOS_SEED what they are drawn from; with CHAOS_FAULTS only those with this word in their names happen
(`freeze`, say). Everything happens in a folder of its own, with servers of its own; CHAOS_FOLDER (default
`.local/chaos/<seed>`) gets the figures and logs.

`python -m tests.chaos recovery` and `… crowding` measure on such servers, without faults at random, with the project's
own settings: see these modules. It takes some minutes.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from config.local import BASE_DIR, open_folder
from execution.workers import die_with_parent

# Beyond the time of the faults: to start, to wait until everything has ended, to check.
OTHER_SECONDS: Final = 300.0
LEAVE_SECONDS: Final = 60.0

# Shorter than anybody would set them, so that all of it happens often.
SETTINGS: Final = {
    "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
    "LEASE_SECONDS": "3",
    "MESSAGE_PATIENCE_SECONDS": "1",
    "PROBE_SECONDS": "1",
    "RECORD_PATIENCE_SECONDS": "20",
    "SHUTDOWN_GRACE_SECONDS": "1",
    # Blocks are innocent here, however often their workers die.
    "MAX_LOSSES": "10000",
    # Clients ask as often as they like.
    "API_RATE_EXECUTE": "1000000",
}
# What is measured: with the settings that everybody has.
MEASURED: Final = ("recovery", "crowding")
MEASURE_SECONDS: Final = 1200.0
PLAIN: Final = {
    "DJANGO_SETTINGS_MODULE": "tests.chaos.plain_settings",
    "MAX_NODE_EXECUTIONS_PER_RUN": "1000000",
}
OTHER_SERVERS: Final = frozenset({"DATABASE_URL", "REDIS_URL", "BROKER_URL", "DATABASE_NAME", "REDIS_DATABASE"})


def main(arguments: list[str]) -> int:
    """Run in a temporary folder, in a process of its own: settings are read once."""
    if arguments and arguments[0] in MEASURED:
        folder = _empty_folder(arguments[0])
        return _run([f"tests.chaos.{arguments[0]}", str(folder)], PLAIN, seconds=MEASURE_SECONDS)
    seconds = float(os.environ.get("CHAOS_SECONDS") or 180)
    pause = float(os.environ.get("CHAOS_PAUSE") or 3)
    seed = os.environ.get("CHAOS_SEED") or str(secrets.randbelow(10**6))
    asked = ["tests.chaos.run", str(_empty_folder(seed)), str(seconds), str(pause), seed]
    return _run(asked, SETTINGS, seconds=seconds + OTHER_SECONDS)


def _empty_folder(name: str) -> Path:
    folder = Path(os.environ.get("CHAOS_FOLDER") or open_folder("chaos") / name).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _run(module: list[str], settings: Mapping[str, str], *, seconds: float) -> int:
    with tempfile.TemporaryDirectory(prefix="chaos-") as local:
        kept = {name: value for name, value in os.environ.items() if name not in OTHER_SERVERS}
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=BASE_DIR,
            env={**kept, **settings, "LOCAL_DIR": local},
            stdin=subprocess.DEVNULL,
            preexec_fn=partial(die_with_parent, signal.SIGKILL),
        )
        try:
            return process.wait(seconds)
        except KeyboardInterrupt:
            # The terminal has told it, too: it ends what it has started.
            return process.wait(LEAVE_SECONDS)
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
