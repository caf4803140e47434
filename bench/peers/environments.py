"""Virtual environments of the peers, below `.local/bench/peers`: made when first needed, kept until the pins change."""

import subprocess
import sys
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.local import open_folder

# Names the folder of the environments for the process that measures.
PEERS_VARIABLE: Final = "BENCH_PEERS"

INSTALL_SECONDS: Final = 600.0


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """What is installed for a peer: exact versions of the packages that matter."""

    name: str
    pins: tuple[str, ...]


DBOS: Final = Distribution(name="dbos", pins=("dbos==3.4.0",))
# With the newest FastAPI this Prefect doesn't start.
PREFECT: Final = Distribution(name="prefect", pins=("prefect==3.8.8", "fastapi==0.139.0", "asyncpg==0.32.0"))
DISTRIBUTIONS: Final = {each.name: each for each in (DBOS, PREFECT)}


class NotInstallableError(Exception):
    """A peer can't be installed here; the text says why in a sentence."""


def install(distribution: Distribution) -> Path:
    """Return the Python of a peer's environment, made if it isn't there yet. Raises `NotInstallableError`."""
    folder = open_folder("bench", "peers") / distribution.name
    mark = folder / "installed.txt"
    wanted = "\n".join(distribution.pins)
    if not mark.exists() or mark.read_text("utf-8") != wanted:
        _make(folder, distribution)
        mark.write_text(wanted, "utf-8")
    return folder / "bin" / "python"


def _make(folder: Path, distribution: Distribution) -> None:
    try:
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run(  # noqa: S603 - pip, with our own pins
            [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *distribution.pins],
            check=True,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        complaints = [line for line in str(error.stderr or "").splitlines() if line.startswith("ERROR")]
        raise NotInstallableError(complaints[-1] if complaints else f"pip ended with {error.returncode}.") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstallableError(str(error)) from error


def install_all(names: Iterable[str]) -> None:
    """Install the peers that need it; one that can't be is told of in a line, and is no failure."""
    for name in names:
        try:
            if name in DISTRIBUTIONS:
                install(DISTRIBUTIONS[name])
        except NotInstallableError as error:
            sys.stderr.write(f"{name} can't be installed, so it is left out: {error}\n")
