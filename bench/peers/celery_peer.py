"""Celery alone, nothing stored: a chain is a task that sends the next one, a fan-out Celery's own group and chord.

One prefork worker with two processes, as it is when nothing is configured, and a Redis result backend for the chord.
"""

import subprocess
import sys
import time
from uuid import uuid4

from celery import chain, chord, group

from bench.contender import FIB_NUMBER, Work
from bench.peers.celery_tasks import app, fib, hop, join, no_op, redis
from bench.peers.serving import Request, serve
from execution.workers import die_with_parent

PROCESSES = 2
READY_SECONDS = 60.0
DEADLINE_SECONDS = 300


def main() -> None:
    """Start the worker and answer until stdin ends."""
    worker = subprocess.Popen(  # noqa: S603 - our own program
        [
            *(sys.executable, "-m", "celery", "-A", "bench.peers.celery_tasks", "worker"),
            *("--concurrency", str(PROCESSES), "--loglevel", "WARNING"),
            *("--without-gossip", "--without-mingle", "--hostname", f"bench-{uuid4()}"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        preexec_fn=die_with_parent,
    )
    try:
        _await_worker()
        serve(run)
    finally:
        worker.terminate()
        worker.wait()


def run(request: Request) -> float:
    """Run chains, fan-outs or work without links; ValueError for another shape."""
    if request.work == Work.FIB:
        return _run_apart(request)
    if request.is_chain:
        return _run_chains(request)
    if request.is_fan_out:
        return _run_fan_outs(request)
    raise ValueError("Celery has no canvas for this shape.")


def _run_chains(request: Request) -> float:
    names = [f"done-{uuid4()}" for _ in range(request.runs)]
    began = time.perf_counter()
    for name in names:
        hop.apply_async(args=(request.size, name))
    for name in names:
        if redis.blpop([name], timeout=DEADLINE_SECONDS) is None:
            raise TimeoutError(f"The chain {name} has not ended.")
    return time.perf_counter() - began


def _run_fan_outs(request: Request) -> float:
    began = time.perf_counter()
    canvases = [
        chain(no_op.si(0), chord(group(no_op.si(node) for node in request.levels[1]), join.s()))
        for _ in range(request.runs)
    ]
    for result in [canvas.apply_async() for canvas in canvases]:
        result.get(timeout=DEADLINE_SECONDS)
    return time.perf_counter() - began


def _run_apart(request: Request) -> float:
    began = time.perf_counter()
    for result in [fib.delay(FIB_NUMBER) for _ in range(request.size * request.runs)]:
        result.get(timeout=DEADLINE_SECONDS)
    return time.perf_counter() - began


def _await_worker() -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not app.control.ping(timeout=0.2):
        if time.monotonic() > deadline:
            raise TimeoutError("Celery's worker is not ready.")


if __name__ == "__main__":
    main()
