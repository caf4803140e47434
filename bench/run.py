"""`python -m bench.run SUITE …`: one benchmark, in the folder and with the settings that `bench` gives it."""

import argparse
import sys

import django

django.setup()

from bench.contender import RunFailedError  # noqa: E402
from bench.hop import compare_hops  # noqa: E402
from bench.session import open_session  # noqa: E402
from config.startup import STARTUP_ERRORS  # noqa: E402
from execution.workers import WorkersNotReadyError  # noqa: E402

SUITES = ("hop",)


def main(arguments: list[str]) -> int:
    """Measure; return 1 with a sentence if that wasn't possible."""
    options = parse(arguments)
    try:
        with open_session(peers=("celery",)) as session:
            compare_hops(session, repeats=options.repeats)
    except (*STARTUP_ERRORS, RunFailedError, WorkersNotReadyError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("suite", nargs="?", choices=SUITES, default="hop")
    parser.add_argument("--repeats", type=int, default=5, help="how often each is measured (default: 5)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
