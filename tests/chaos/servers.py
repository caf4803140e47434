"""A PostgreSQL and a Valkey that only the chaos run uses: they die when it wants it, and come back when it wants it."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Final

import psycopg
from django.conf import settings

from config.embedded.postgres import PostgresServer
from config.embedded.server import Server
from config.embedded.valkey import ValkeyServer
from config.local import open_lock, try_lock

READY_SECONDS: Final = 60.0
LEFTOVER_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.01

# Stops at once, as if the machine had lost its power; the next start repairs what that left.
IMMEDIATE: Final = signal.SIGQUIT


class OwnServer:
    """One server. Start it from the main thread: the kernel ends it with the thread that started it."""

    def __init__(self, server: Server, *, is_up: Callable[[], bool]) -> None:
        self._server = server
        self._is_up = is_up
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether its main process is there; it may not answer yet, or be frozen."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The main process. RuntimeError if it was never started."""
        if self._process is None:
            raise RuntimeError("The server was never started.")
        return self._process.pid

    def start(self) -> None:
        """Start it unless it runs; it answers a little later."""
        if self.is_running:
            return
        self._server.prepare()
        lock = self._await_leftover()
        try:
            self._process = self._server.start(lock=lock)
        finally:
            os.close(lock)

    def await_ready(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + READY_SECONDS
        while not (self._server.is_ready() and self._is_up()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._server.title} does not answer: {self._server.last_words()}")
            time.sleep(POLL_SECONDS)

    def send(self, which: signal.Signals) -> None:
        """Signal its main process, if it runs."""
        if self._process is not None and self.is_running:
            self._process.send_signal(which)

    def end(self, how: signal.Signals) -> None:
        """End it with this signal, and wait until its main process has gone."""
        self.send(signal.SIGCONT)
        self.send(how)
        if self._process is not None:
            self._process.wait(LEFTOVER_SECONDS)

    def forget_everything(self) -> None:
        """Remove its data while it doesn't run."""
        for path in self._server.data.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def stop(self) -> None:
        """End it in order, and leave nothing behind."""
        self.end(self._server.stop_signal)
        self._server.clean_up()

    def _await_leftover(self) -> int:
        """Return the lock that all processes of an earlier start hold, once they have gone."""
        deadline = time.monotonic() + LEFTOVER_SECONDS
        lock = open_lock(f"{self._server.name}.server.lock")
        while not try_lock(lock):
            if time.monotonic() > deadline:
                os.close(lock)
                raise TimeoutError(f"{self._server.title} has processes that don't end.")
            time.sleep(POLL_SECONDS)
        return lock


def make_database() -> OwnServer:
    """Return the PostgreSQL that the settings name."""
    return OwnServer(PostgresServer(), is_up=_database_answers)


def make_broker() -> OwnServer:
    """Return the Valkey that the settings name."""
    return OwnServer(ValkeyServer(), is_up=lambda: True)


def connect() -> "psycopg.Connection[tuple[object, ...]]":
    """Open a session beside Django's, in autocommit mode."""
    database = settings.DATABASES["default"]
    return psycopg.connect(
        host=database["HOST"], user=database["USER"], dbname=database["NAME"], autocommit=True, connect_timeout=3
    )


def _database_answers() -> bool:
    try:
        connect().close()
    except psycopg.OperationalError:
        return False
    return True
