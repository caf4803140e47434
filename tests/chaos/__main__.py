"""`python -m tests.chaos`: users start runs while processes die; nothing may be lost. Exit code 0 if nothing was.

CHAOS_SECONDS (default 180) is how long there are faults, CHAOS_PAUSE (default 3) how many seconds lie between two of
them on average, CHAOS_SEED what they are drawn from; with CHAOS_FAULTS only those with this word in their names happen
(`freeze`, say). Everything happens in a folder of its own, with servers of its own; CHAOS_FOLDER (default
`.local/chaos/<seed>`) gets the figures and logs.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
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
OTHER_SERVERS: Final = frozenset({"DATABASE_URL", "REDIS_URL", "BROKER_URL", "DATABASE_NAME", "REDIS_DATABASE"})


def main() -> int:
    """Run in a temporary folder, in a process of its own: settings are read once."""
    seconds = float(os.environ.get("CHAOS_SECONDS") or 180)
    pause = float(os.environ.get("CHAOS_PAUSE") or 3)
    seed = os.environ.get("CHAOS_SEED") or str(secrets.randbelow(10**6))
    folder = Path(os.environ.get("CHAOS_FOLDER") or open_folder("chaos") / seed).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as local:
        kept = {name: value for name, value in os.environ.items() if name not in OTHER_SERVERS}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.run", str(folder), str(seconds), str(pause), seed],
            cwd=BASE_DIR,
            env={**kept, **SETTINGS, "LOCAL_DIR": local},
            stdin=subprocess.DEVNULL,
            preexec_fn=partial(die_with_parent, signal.SIGKILL),
        )
        try:
            return process.wait(seconds + OTHER_SECONDS)
        except KeyboardInterrupt:
            # The terminal has told it, too: it ends what it has started.
            return process.wait(LEAVE_SECONDS)
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
