"""DBOS: a workflow whose steps are the nodes, in one process, each step's result committed to PostgreSQL.

Steps of one level run side by side on the event loop; a chain is a plain function that calls one step after the
other, which is quicker. `BENCH_DATABASE_URL` names the PostgreSQL.
"""

import asyncio
import os
import time

from dbos import DBOS, DBOSConfig

from bench.peers.serving import Request, serve


@DBOS.step()
def plain_step(value: int) -> int:
    """Return what came in."""
    return value


@DBOS.step()
async def async_step(value: int) -> int:
    """Return what came in."""
    return value


@DBOS.workflow()
def run_chain(nodes: list[int]) -> int:
    """Run the nodes one after the other."""
    for node in nodes:
        plain_step(node)
    return len(nodes)


@DBOS.workflow()
async def run_levels(levels: list[list[int]]) -> int:
    """Run the levels one after the other, the nodes of each together."""
    for level in levels:
        await asyncio.gather(*(async_step(node) for node in level))
    return len(levels)


def main() -> None:
    """Launch DBOS and answer until stdin ends."""
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": os.environ["BENCH_DATABASE_URL"],
        "log_level": "WARNING",
        "run_admin_server": False,
    }
    DBOS(config=config)
    DBOS.launch()
    try:
        serve(run)
    finally:
        DBOS.destroy()


def run(request: Request) -> float:
    """Start the workflows and wait for their results."""
    if request.is_chain:
        return _run_chains(request)
    return asyncio.run(_run_levels(request))


def _run_chains(request: Request) -> float:
    nodes = [node for level in request.levels for node in level]
    began = time.perf_counter()
    if request.runs == 1:
        run_chain(nodes)
    else:
        for handle in [DBOS.start_workflow(run_chain, nodes) for _ in range(request.runs)]:
            handle.get_result()
    return time.perf_counter() - began


async def _run_levels(request: Request) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(run_levels(request.levels) for _ in range(request.runs)))
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
