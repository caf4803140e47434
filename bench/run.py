"""`python -m bench.run SUITE …`: one benchmark, in the folder and with the settings that `bench` gives it."""

import argparse
import os
import signal
import sys

import django

django.setup()

from bench.contender import RunFailedError  # noqa: E402
from bench.hop import compare_hops, trace  # noqa: E402
from bench.options import parse  # noqa: E402
from bench.profiling import profile_workers  # noqa: E402
from bench.ratios import compute_ratios  # noqa: E402
from bench.report import other_table, ratio_table, time_table, write_page, write_results  # noqa: E402
from bench.session import Session, open_session  # noqa: E402
from bench.shapes import Shape, chain, read_shapes  # noqa: E402
from bench.suite import run_suite  # noqa: E402
from bench.surroundings import describe  # noqa: E402
from bench.workloads import Suite, choose  # noqa: E402
from config.startup import STARTUP_ERRORS  # noqa: E402
from config.supervisor import print_line  # noqa: E402
from execution.workers import WorkersNotReadyError  # noqa: E402

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Measure; return 1 with a sentence if that wasn't possible."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with open_session(peers=options.peers) as session:
            if options.profile:
                profile_workers(session.engine, folder=options.profile, shape=_shape(options, default="chain-400"))
            elif options.suite is Suite.HOP:
                compare_hops(session, _shape(options, default="chain-40"), repeats=options.repeats)
            else:
                _run(session, options)
    except (*STARTUP_ERRORS, RunFailedError, WorkersNotReadyError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _shape(options: argparse.Namespace, *, default: str) -> Shape:
    """Return the shape that is looked at more closely; RunFailedError if there is none of this name."""
    name = options.only or default
    for workload in choose(Suite.FULL, traces=read_shapes(options.workflows)):
        if workload.name == name:
            return workload.shape
    raise RunFailedError(f"There is no workload {name}.")


def _run(session: Session, options: argparse.Namespace) -> None:
    surroundings = describe()
    results = run_suite(
        session, options.suite, repeats=options.repeats, traces=read_shapes(options.workflows), only=options.only
    )
    ratios = compute_ratios(results)
    for table in (time_table(results), other_table(results), ratio_table(ratios)):
        print_line(f"\n{table}")
    if options.only:
        print_line("\nNothing was written: only a part was measured.")
        return
    shape = chain(40)
    write_results(
        results,
        suite=options.suite,
        surroundings=surroundings | {"load_after": round(os.getloadavg()[0], 2)},
        ratios=ratios,
        statements={shape.name: (trace(session.engine, shape), shape.size)},
    )
    write_page(results, suite=options.suite, surroundings=surroundings, ratios=ratios)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
