"""`python -m bench [SUITE]`: measure in a folder of its own, with servers of its own.

Settings are read once, so the measuring is a process of its own that gets them in its environment.
"""

import os
import signal
import subprocess
import sys
import tempfile
from functools import partial
from typing import Final

from bench.options import parse
from bench.peers.environments import PEERS_VARIABLE, install_all
from config.local import BASE_DIR, open_folder
from execution.workers import die_with_parent

LEAVE_SECONDS: Final = 60.0
OTHER_SERVERS: Final = frozenset({"DATABASE_URL", "REDIS_URL", "BROKER_URL", "DATABASE_NAME", "REDIS_DATABASE"})


def main(arguments: list[str]) -> int:
    """Run the benchmark below `.local/bench`: on the disk that the project's own data are on."""
    install_all(parse(arguments).peers)
    with tempfile.TemporaryDirectory(prefix="run-", dir=open_folder("bench")) as local:
        kept = {name: value for name, value in os.environ.items() if name not in OTHER_SERVERS}
        environment = {**kept, "DJANGO_SETTINGS_MODULE": "bench.settings", "LOCAL_DIR": local, "LOG_LEVEL": "WARNING"}
        environment |= {PEERS_VARIABLE: str(open_folder("bench", "peers"))}
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "bench.run", *arguments],
            cwd=BASE_DIR,
            env=environment,
            stdin=subprocess.DEVNULL,
            preexec_fn=partial(die_with_parent, signal.SIGKILL),
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal has told it, too: it ends what it has started.
            return process.wait(LEAVE_SECONDS)
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
