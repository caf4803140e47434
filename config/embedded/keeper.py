"""The process that owns an embedded server: `python -m config.embedded.keeper NAME`.

It starts the server, says so, and then waits for the exclusive lock on the file that every user of the server holds a
shared lock on. The kernel gives it away when the last user has gone, however it went; the server is then stopped. A
server that dies while it is used is started again. If the keeper itself is killed, the kernel stops the server.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType

from config.embedded.postgres import PostgresServer
from config.embedded.privileges import PrivilegeError
from config.embedded.server import READY, Server, ServerError, keeper_lock, users_lock
from config.embedded.valkey import ValkeyServer
from config.local import LocalFolderError, explain, open_lock, try_lock

SERVERS: dict[str, type[Server]] = {server.name: server for server in (PostgresServer, ValkeyServer)}

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_LEFTOVER_SECONDS = 20.0
_POLL_SECONDS = 0.005
_RESTART_SECONDS = 0.3


class Keeper:
    """Runs one server until nobody uses it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None
        self._unused = threading.Event()

    def start(self) -> None:
        """Start the server and wait until it answers; ServerError if it doesn't."""
        self._server.prepare()
        lock = self._await_leftover()
        try:
            self._process = process = self._server.start(lock=lock)
        finally:
            os.close(lock)  # the server's own processes keep it
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.is_ready():
            if process.poll() is not None:
                raise ServerError(
                    f"{self._server.title} does not start: {self._server.last_words()} (see {self._server.log})."
                )
            if time.monotonic() > deadline:
                self._stop(process)
                raise ServerError(f"{self._server.title} does not answer (see {self._server.log}).")
            time.sleep(_POLL_SECONDS)

    def keep(self) -> None:
        """Return when nobody uses the server any more and it has been stopped."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        threading.Thread(target=self._await_last_user, daemon=True).start()
        while not self._unused.wait(_RESTART_SECONDS):
            if self._process is None or self._process.poll() is not None:
                self._restart()
        if self._process is not None:
            self._stop(self._process)
        self._server.clean_up()

    def _restart(self) -> None:
        try:
            self.start()
        except (ServerError, OSError) as error:
            with self._server.log.open("a", encoding="utf-8") as log:
                log.write(f"not started again: {error}\n")

    def _await_last_user(self) -> None:
        fcntl.flock(open_lock(users_lock(self._server.name)), fcntl.LOCK_EX)
        self._unused.set()

    def _on_sigterm(self, _signal: int, _frame: FrameType | None) -> None:
        self._unused.set()

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(self._server.stop_signal)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _await_leftover(self) -> int:
        """Return the server's lock once no process of an earlier one is left: two on the same data would ruin them."""
        deadline = time.monotonic() + _LEFTOVER_SECONDS
        lock = open_lock(f"{self._server.name}.server.lock")
        while not try_lock(lock):
            if time.monotonic() > deadline:
                os.close(lock)
                raise ServerError(f"{self._server.title} of an earlier run does not end; kill it and try again.")
            time.sleep(_POLL_SECONDS)
        return lock


def main(name: str) -> int:
    """Keep a server; the first line on stdout is `ready` or says why not."""
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    lock = open_lock(keeper_lock(name))
    if not try_lock(lock):
        _report("Another process is just starting the embedded servers; try again.")
        return 1
    try:
        keeper = Keeper(SERVERS[name]())
        keeper.start()
    except OSError as error:
        _report(f"{SERVERS[name].title} can't be started: {explain(error)} ({error.filename}).")
        return 1
    except (ServerError, PrivilegeError, LocalFolderError) as error:
        _report(str(error))
        return 1
    _report(READY)
    keeper.keep()
    return 0


def _report(line: str) -> None:
    """Say the line to whoever started us, and then nothing any more."""
    os.write(1, f"{line}\n".encode())
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
