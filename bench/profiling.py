"""Where a worker's processor time goes: py-spy looks at its processes while chains run."""

import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bench.contender import RunFailedError
from bench.engine import Engine
from bench.shapes import Shape
from config.supervisor import print_line

RATE: Final = 500
LEAVE_SECONDS: Final = 60.0
# Few enough that no process of the pool is replaced meanwhile.
TIMES: Final = 2
SHOWN: Final = 60


@dataclass(frozen=True, kw_only=True)
class Profile:
    """How many samples saw a function at work: itself (`own`), or it or what it called (`total`)."""

    samples: int
    own: Mapping[str, int]
    total: Mapping[str, int]


def profile_workers(engine: Engine, *, folder: Path, shape: Shape) -> None:
    """Print and write, per process of the `cpu` worker, in which functions the interpreter's lock is held.

    The files have a line per stack, with how often it was seen: the format that flame graphs are drawn from.
    """
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if program is None:
        raise RunFailedError("py-spy is missing: `make bench` installs it.")
    folder.mkdir(parents=True, exist_ok=True)
    engine.run(shape)
    main = engine.worker_pids()["cpu"]
    children = psutil.Process(main).children()
    named = {"main": main} | {f"child-{number}": child.pid for number, child in enumerate(children, start=1)}
    files = {name: folder / f"{name}.txt" for name in named}
    spies = [_spy(program, pid, files[name]) for name, pid in named.items()]
    for _ in range(TIMES):
        engine.run(shape)
    for spy in spies:
        spy.send_signal(signal.SIGINT)
        spy.wait(LEAVE_SECONDS)
    for name, file in files.items():
        print_line(f"\n{name}: {file}")
        for line in describe(read_stacks(file.read_text("utf-8"))):
            print_line(line)


def read_stacks(text: str) -> Profile:
    """Return how often each function was seen: lines read `outermost;…;innermost count`."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        functions = [re.sub(r":\d+\)$", ")", frame) for frame in stack.split(";")]
        own[functions[-1]] += int(count)
        for function in set(functions):
            total[function] += int(count)
    return Profile(samples=own.total(), own=own, total=total)


def describe(profile: Profile) -> list[str]:
    """Return the functions that most samples were in, with what they called."""
    often = sorted(profile.total.items(), key=lambda each: -each[1])
    rows = [
        f"{count / profile.samples:6.1%} {profile.own.get(name, 0) / profile.samples:6.1%}  {name}"
        for name, count in often[:SHOWN]
    ]
    return [f"{profile.samples} samples at {RATE} a second", " total    own", *rows]


def _spy(program: str, pid: int, output: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - a tool of ours
        [
            *(program, "record", "--pid", str(pid), "--rate", str(RATE), "--gil"),
            *("--format", "raw", "--output", str(output)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
