"""Where a worker's time goes: py-spy looks at its processes while a chain runs."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil

from bench.contender import RunFailedError
from bench.engine import Engine
from bench.shapes import Shape
from config.supervisor import print_line

RATE: Final = 400
LEAVE_SECONDS: Final = 30.0
TIMES: Final = 3


def profiled(engine: Engine, *, folder: Path, shape: Shape) -> None:
    """Write a flame graph and raw stacks (a line each, with how often they were seen) per process of the cpu worker."""
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if program is None:
        raise RunFailedError("py-spy is missing: `make bench` installs it.")
    folder.mkdir(parents=True, exist_ok=True)
    engine.run(shape)
    main = engine.worker_pids()["cpu"]
    named = {"main": main} | {
        f"child-{number}": child.pid for number, child in enumerate(psutil.Process(main).children(), start=1)
    }
    for kind, ending in (("flamegraph", "svg"), ("raw", "txt")):
        spies = [_spy(program, pid, folder / f"{name}.{ending}", kind=kind) for name, pid in named.items()]
        for _ in range(TIMES):
            engine.run(shape)
        for spy in spies:
            spy.send_signal(signal.SIGINT)
            spy.wait(LEAVE_SECONDS)
    print_line(f"profiles of {', '.join(named)} are in {folder}")


def _spy(program: str, pid: int, output: Path, *, kind: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - a tool of ours
        [program, "record", "--pid", str(pid), "--rate", str(RATE), "--format", kind, "--output", str(output)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
