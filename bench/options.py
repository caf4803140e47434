"""What a benchmark is asked for on its command line."""

import argparse
import os
from pathlib import Path

from bench.workloads import PEERS, Suite


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return `suite`, `repeats`, `peers`, `only`, `workflows` and `profile`."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the engine beside others.")
    parser.add_argument(
        "suite",
        nargs="?",
        type=Suite,
        choices=list(Suite),
        default=Suite.FULL,
        help="hop: a chain, and its SQL statements; quick: all ratios; full (default): everything",
    )
    parser.add_argument("--repeats", type=int, default=5, help="how often each is measured (default: 5)")
    parser.add_argument("--peers", nargs="*", metavar="NAME", help="beside whom (default: all that the suite has)")
    parser.add_argument(
        "--only",
        default="",
        metavar="PART",
        help="only what has this in its name; writes no files; hop: the one of this name",
    )
    parser.add_argument(
        "--workflows",
        type=Path,
        default=os.environ.get("WORKFLOWS_DIR") or None,
        metavar="FOLDER",
        help="traces of real workflows, as JSON (default: WORKFLOWS_DIR)",
    )
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FOLDER",
        help="measure nothing, but have py-spy tell where the workers spend their processor time",
    )
    options = parser.parse_args(arguments)
    if options.peers is None:
        options.peers = PEERS[options.suite]
    return options
