"""A server program that runs embedded: where its data lie, how it is started."""

import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from config.embedded.privileges import find_account, give_to, is_open_to_all, prepare_child
from config.local import LOCAL_DIR, open_folder, socket_folder

# What a keeper says once its server answers.
READY = "ready"


class ServerError(Exception):
    """An embedded server can't be had; the text says why in one sentence."""


class Server(ABC):
    """A server with its data in `.local/<name>`, its log in `.local/log/<name>.log` and a socket as its only door."""

    name: ClassVar[str]
    title: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self) -> None:
        self.data = open_folder(self.name)
        self.log = open_folder("log") / f"{self.name}.log"
        self.account = find_account(self.data)
        self._log_begins = 0
        self._process_id = 0

    @abstractmethod
    def program(self) -> Path:
        """Return the program's file; ServerError if its package is missing."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the program's arguments."""

    @abstractmethod
    def prepare_data(self) -> None:
        """Lay out the data folder if it is new."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the program that was started last answers."""

    def prepare(self) -> None:
        """Make what must be there before the program starts."""
        if not os.access(self.data, os.R_OK | os.W_OK | os.X_OK):
            raise ServerError(f"The folder {self.data} belongs to another user; use that account or remove the folder.")
        give_to(self.account, self.data)
        self._prepare_socket_folder()
        self.prepare_data()

    def start(self, *, lock: int) -> subprocess.Popen[bytes]:
        """Start the program. It inherits `lock`, which is thus held until its last process has gone."""
        with self.log.open("ab") as log:
            self._log_begins = log.tell()
            process = subprocess.Popen(  # noqa: S603 - a program of our own packages
                [str(self.program()), *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.data,
                env=self._environment(),
                pass_fds=[lock],
                start_new_session=True,
                preexec_fn=self._prepare_child(),
            )
        self._process_id = process.pid
        return process

    def run_tool(self, program: Path, *arguments: str) -> None:
        """Run one of the server's tools to its end; ServerError with its complaint if it fails."""
        done = subprocess.run(  # noqa: S603 - a program of our own packages
            [str(program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd=self.data,
            env=self._environment(),
            preexec_fn=self._prepare_child(),
        )
        if done.returncode != 0:
            raise ServerError(f"{self.title} can't be set up: {_complaint(done.stderr or done.stdout)}.")

    def last_words(self) -> str:
        """Return the line of the log that tells best why the program, as it was last started, ended."""
        with self.log.open("rb") as log:
            log.seek(self._log_begins)
            return _complaint(log.read().decode(errors="replace"))

    def clean_up(self) -> None:
        """Remove what nobody needs while the server doesn't run."""
        remove_folder(socket_folder(self.name))

    def _prepare_socket_folder(self) -> None:
        folder = socket_folder(self.name)
        owners = {os.geteuid(), self.account.uid if self.account else os.geteuid()}
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid not in owners:
            raise ServerError(f"The folder {folder} belongs to someone else, so the embedded servers can't use it.")
        folder.chmod(0o700)
        give_to(self.account, folder)

    def _environment(self) -> dict[str, str]:
        # The machine's locale and time zone, and settings of other servers, must not matter.
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

    def _prepare_child(self) -> Callable[[], None]:
        may_pass = not (is_open_to_all(self.program()) and is_open_to_all(LOCAL_DIR.resolve()))
        return prepare_child(account=self.account, may_pass=may_pass, death_signal=self.stop_signal)


def users_lock(name: str) -> str:
    """Return the name of the lock that users of a server share."""
    return f"{name}.users.lock"


def keeper_lock(name: str) -> str:
    """Return the name of the lock that a server's keeper holds while it lives."""
    return f"{name}.keeper.lock"


def _complaint(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["it does not say why"]
    marks = ("FATAL:", "PANIC:", "error:", "Can't", "Fatal", "Bad file", "could not")
    telling = [line for line in lines if any(mark in line for mark in marks)]
    found = telling[0] if telling else lines[-1]
    for severity in ("FATAL:", "PANIC:"):  # what stands before is the time and the process
        found = found.partition(severity)[2].strip() or found
    return found.rstrip(".")


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it; nothing happens if it isn't there."""
    shutil.rmtree(folder, ignore_errors=True)
