"""Starting our own programs for a test, in a `.local` folder of its own, and looking at what is left of them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from config.local import BASE_DIR

SERVER_VARIABLES = {"DATABASE_URL", "REDIS_URL", "BROKER_URL", "DATABASE_NAME", "REDIS_DATABASE"}

# Holds the servers until its standard input ends.
HOLDER = """
import sys
from config import embedded
try:
    embedded.hold([embedded.POSTGRES, embedded.VALKEY])
except embedded.ServerError as error:
    sys.exit(str(error))
print("held", flush=True)
sys.stdin.read()
"""


def environment_for(local: Path, **more: str) -> dict[str, str]:
    """Return an environment in which our programs use the embedded servers of that `.local` folder."""
    kept = {name: value for name, value in os.environ.items() if name not in SERVER_VARIABLES}
    return {**kept, "LOCAL_DIR": str(local), "DJANGO_SETTINGS_MODULE": "config.settings", **more}


def run_manage(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` to its end."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def start_python(*arguments: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start Python in the project's folder, with pipes to talk to it."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=BASE_DIR,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def processes_of(local: Path) -> list[str]:
    """Return the command lines of the processes that were started for a `.local` folder (Linux)."""
    own = os.getpid()
    folders = [folder for folder in Path("/proc").iterdir() if folder.name.isdigit() and int(folder.name) != own]
    return [_command_of(folder) for folder in folders if _belongs_to(folder, local)]


def wait_until(condition: Callable[[], bool], *, seconds: float = 20.0) -> bool:
    """Return whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _belongs_to(process: Path, local: Path) -> bool:
    """Whether a process has the folder in its environment, works in it (servers) or has a file of it open (workers)."""
    try:
        if f"LOCAL_DIR={local}".encode() in (process / "environ").read_bytes().split(b"\0"):
            return True
        links = [process / "cwd", *(process / "fd").iterdir()]
        return any(_target(link).is_relative_to(local) for link in links)
    except OSError:
        return False


def _target(link: Path) -> Path:
    try:
        return link.readlink()
    except OSError:
        return Path("gone")


def _command_of(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip() or process.name
    except OSError:
        return process.name
