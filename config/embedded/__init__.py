"""PostgreSQL and Valkey of our own, for whoever has set no URL of a server.

Every process that needs a server calls `hold`: it starts the server if nobody has, and keeps a shared lock for as long
as the process (or a child that it forks) lives. So the servers end with their last user, and a killed process leaves
nothing to clean up.
"""

import atexit
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

from config.embedded.postgres import DATABASE, USER, PostgresServer
from config.embedded.server import READY, ServerError, keeper_lock, users_lock
from config.embedded.valkey import ValkeyServer, socket_path
from config.local import BASE_DIR, LOCAL_DIR, exclusive_lock, open_folder, open_lock, socket_folder, try_lock

__all__ = ["POSTGRES", "VALKEY", "ServerError", "database_settings", "hold", "release", "valkey_url"]

POSTGRES = PostgresServer.name
VALKEY = ValkeyServer.name

_LEAVE_SECONDS = 20.0
_POLL_SECONDS = 0.01

_held: dict[str, int] = {}
_keepers: list[subprocess.Popen[bytes]] = []


def database_settings() -> dict[str, str]:
    """Return Django's connection settings for the embedded PostgreSQL, whether it runs or not."""
    return {"NAME": DATABASE, "USER": USER, "PASSWORD": "", "HOST": str(socket_folder(POSTGRES)), "PORT": "5432"}


def valkey_url(*, database: int = 0) -> str:
    """Return redis-py's URL of the embedded Valkey, whether it runs or not."""
    return f"unix://{socket_path()}?db={database}"


def hold(names: Iterable[str]) -> None:
    """Make sure that these servers run until this process ends; ServerError if one can't be had."""
    with exclusive_lock("start.lock"):
        wanted = [name for name in names if name not in _held]
        for name in wanted:
            _join_users(name)
        starting = {name: _start_keeper(name) for name in wanted if not _is_kept(name)}
        reports = {name: _read_report(keeper) for name, keeper in starting.items()}
    for name, report in reports.items():
        if report != READY:
            raise ServerError(report or f"The keeper of {name} ended; see {LOCAL_DIR / 'log' / 'keeper.log'}.")


def release() -> None:
    """Use the servers no longer; if nobody else does, return when they have stopped."""
    names = list(_held)
    for name in names:
        os.close(_held.pop(name))
    for name in names:
        _await_end(name)
    # Those that we started and that have ended leave no zombie behind.
    _keepers[:] = [keeper for keeper in _keepers if keeper.poll() is None]


def _join_users(name: str) -> None:
    descriptor = open_lock(users_lock(name))
    # Waits for a keeper that is just stopping its server, since that has the exclusive lock.
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    if not _held:
        atexit.register(release)
    _held[name] = descriptor


def _is_kept(name: str) -> bool:
    probe = open_lock(keeper_lock(name))
    try:
        return not try_lock(probe)
    finally:
        os.close(probe)


def _start_keeper(name: str) -> subprocess.Popen[bytes]:
    log = open_folder("log") / "keeper.log"
    with log.open("ab") as stderr:
        # A session of its own: the terminal's Ctrl-C is not for the servers.
        return subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "config.embedded.keeper", name],
            cwd=BASE_DIR,
            env={**os.environ, "LOCAL_DIR": str(LOCAL_DIR)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )


def _read_report(keeper: subprocess.Popen[bytes]) -> str:
    _keepers.append(keeper)
    with keeper.stdout or open(os.devnull, "rb") as stdout:  # noqa: PTH123
        return stdout.readline().decode(errors="replace").strip()


def _await_end(name: str) -> None:
    """Wait while the server is being stopped; return at once if somebody uses it."""
    deadline = time.monotonic() + _LEAVE_SECONDS
    with suppress(OSError):
        users = os.open(LOCAL_DIR / "run" / users_lock(name), os.O_RDWR | os.O_CLOEXEC)
        while _is_kept(name) and time.monotonic() < deadline:
            if not _try_shared(users):
                pass  # the keeper has the exclusive lock: it is stopping the server
            elif not try_lock(users):
                break  # not alone: somebody else uses the server
            fcntl.flock(users, fcntl.LOCK_UN)
            time.sleep(_POLL_SECONDS)
        os.close(users)


def _try_shared(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
