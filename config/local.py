"""The `.local` folder: everything that belongs to this checkout on this machine and to no repository.

It holds the data of the embedded servers, their logs, generated secrets and uploaded files. Deleting it while nothing
runs gives a factory-new project.
"""

import fcntl
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
LOCAL_DIR = Path(os.environ.get("LOCAL_DIR") or BASE_DIR / ".local").absolute()


class LocalFolderError(Exception):
    """The `.local` folder can't be used; the text says why in one sentence."""


def open_folder(*parts: str, mode: int = 0o700) -> Path:
    """Return a folder below `.local`, made if it is missing."""
    folder = LOCAL_DIR.joinpath(*parts)
    try:
        # Others may pass through (an unprivileged server account has to), but not look around.
        LOCAL_DIR.mkdir(mode=0o711, parents=True, exist_ok=True)
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise LocalFolderError(f"The folder {folder} can't be made: {explain(error)}.") from error
    return folder


def open_lock(name: str) -> int:
    """Open (not lock) a lock file below `.local/run`; programs that we start don't inherit the descriptor."""
    path = open_folder("run") / name
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LocalFolderError(f"The file {path} can't be opened: {explain(error)}.") from error


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock without waiting; False: someone else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive_lock(name: str) -> Iterator[None]:
    """Wait for the lock, hold it for the block."""
    descriptor = open_lock(name)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def explain(error: OSError) -> str:
    """Return the system's words for an error: "No space left on device"."""
    return error.strerror or str(error)


def read_secret(name: str, *, length: int = 32) -> str:
    """Return the secret kept in `.local/<name>`, generated (`length` random bytes) at the first call."""
    path = LOCAL_DIR / name
    with suppress(FileNotFoundError):
        if kept := _read(path):
            return kept
    with exclusive_lock("secrets.lock"):
        if path.exists() and (kept := _read(path)):
            return kept
        _write_privately(path, secrets.token_urlsafe(length))
    return _read(path)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise LocalFolderError(f"The file {path} can't be read: {explain(error)}.") from error


def _write_privately(path: Path, text: str) -> None:
    """Write so that a reader sees the whole text or no file."""
    draft = path.with_name(f"{path.name}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor, not a path
            stream.write(f"{text}\n")
        draft.replace(path)
    except OSError as error:
        raise LocalFolderError(f"The file {path} can't be written: {explain(error)}.") from error


def socket_folder(server: str) -> Path:
    """Return the (short) folder of a server's socket.

    A Unix socket's path is limited to about 100 bytes, a checkout's is not: so it lies in the temporary folder, under a
    name that follows from the checkout's and the server's. Its owner is checked when it is used.
    """
    place = "/tmp" if os.access("/tmp", os.W_OK) else tempfile.gettempdir()  # noqa: S108 - owner and mode are checked
    digest = hashlib.sha256(os.fsencode(LOCAL_DIR.resolve())).hexdigest()[:12]
    return Path(place, f"graph-engine-{digest}-{server}")
