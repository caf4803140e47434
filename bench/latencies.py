"""How soon something happens: the first node after the POST, the first successor of a stream, the end after a stop."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

from bench.blocks import EndlessBlock, StampBlock
from bench.client import log_in, post
from bench.contender import RunFailedError
from bench.documents import write_document, write_stream
from bench.engine import Engine
from bench.results import Measured
from bench.shapes import Shape, apart
from config.local import open_folder
from execution.models import Output
from execution.services import stop_execution

# Long enough that the stream goes on while its first successor starts.
STREAM_PAUSE: Final = 0.3
STREAM_ITEMS: Final = 20
MANY_ITEMS: Final = 100_000
FEW_ITEMS: Final = 1_000
STOP_SECONDS: Final = 20.0
POLL_SECONDS: Final = 0.001

Latency = Callable[[], float]
"""Has something happen once; returns how many seconds it took."""


def measure(engine: Engine, names: Sequence[str], *, repeats: int) -> list[Measured]:
    """Measure these `LATENCIES` in turn, for they are compared with each other."""
    measured = {name: LATENCIES[name](engine) for name in names}
    for once in measured.values():
        once()  # caches, connections
    samples: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name, once in measured.items():
            samples[name].append(once())
    return [Measured(workload=name, contender="engine", samples=tuple(found)) for name, found in samples.items()]


def _first_node(engine: Engine) -> Latency:
    """Measure from the moment before the POST to the moment at which the first node's block runs."""
    client = log_in(engine.user)
    version = engine.save(write_document(apart(1), block_id=StampBlock.id))
    address = f"/v1/graphs/{version.graph_id}/execute/1"

    def measure() -> float:
        asked = time.time()
        key = UUID(post(client, address, {"input_data": {}})["id"])
        engine.await_ends([key])
        return float(_outputs(key, "stamp")[0]["seen"]) - asked

    return measure


def _hop_by_message(engine: Engine) -> Latency:
    """Measure from a node's block to the block of its successor that another process runs, told by a message.

    The other successor is gone on with in place.
    """
    shape = Shape(name="1 to 2", size=3, links=((0, 1), (0, 2)))
    version = engine.save(write_document(shape, block_id=StampBlock.id, pin="stamp"))

    def measure() -> float:
        key = engine.start(version)
        engine.await_ends([key])
        seen = sorted(float(stamp["seen"]) for stamp in _outputs(key, "stamp"))
        return seen[-1] - seen[0]

    return measure


def _first_of_a_stream(engine: Engine) -> Latency:
    """Measure from a block's first yield to the moment at which the successor's block runs; the first goes on."""
    version = engine.save(write_stream(count=STREAM_ITEMS, first_pause=STREAM_PAUSE, successor=StampBlock.id))

    def measure() -> float:
        key = engine.start(version)
        engine.await_ends([key])
        stamps = _outputs(key, "stamp")
        if len(stamps) != STREAM_ITEMS:
            raise RunFailedError(f"{len(stamps)} of {STREAM_ITEMS} values of the stream arrived.")
        first = min(stamps, key=lambda stamp: float(stamp["value"]))
        return float(first["seen"]) - float(first["value"])

    return measure


def memory_of_a_stream(engine: Engine) -> list[Measured]:
    """Measure the most memory of a process after 1,000 and after 100,000 values, and the time of the latter."""
    peaks, seconds = {}, 0.0
    for count in (FEW_ITEMS, MANY_ITEMS):
        version = engine.save(write_stream(count=count, first_pause=0, successor=None))
        began = time.perf_counter()
        key = engine.start(version)
        engine.await_ends([key])
        seconds = time.perf_counter() - began
        peaks[count] = _outputs(key, "peak_kib")[0] / 1024
    named = {count: f"memory after {count:,} values" for count in peaks}
    return [
        *(
            Measured(workload=named[count], contender="engine", samples=(peak,), unit="MiB")
            for count, peak in peaks.items()
        ),
        Measured(workload=f"a stream of {MANY_ITEMS:,} values", contender="engine", samples=(seconds,), nodes=1),
    ]


def _stop(engine: Engine) -> Latency:
    """Measure from the call to the end of the block's code."""
    folder = open_folder("marks")

    def measure() -> float:
        mark = folder / str(uuid4())
        document = write_document(apart(1), block_id=EndlessBlock.id, constants={"mark": str(mark)})
        key = engine.start(engine.save(document, again=True))
        _await_file(mark)
        asked = time.time()
        stop_execution(execution_id=key)
        ended = Path(f"{mark}.ended")
        _await_file(ended)
        engine.await_ends([key])
        return ended.stat().st_mtime - asked

    return measure


def _outputs(execution_id: UUID, pin: str) -> list[Any]:
    rows = Output.objects.filter(node_execution__execution=execution_id, pin=pin)
    return list(rows.values_list("value", flat=True))


def _await_file(path: Path) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise RunFailedError(f"{path.name} has not appeared after {STOP_SECONDS:.0f} s.")
        time.sleep(POLL_SECONDS)


LATENCIES: Final[Mapping[str, Callable[[Engine], Latency]]] = {
    "hop by message": _hop_by_message,
    "first node": _first_node,
    "first of a stream": _first_of_a_stream,
    "stop": _stop,
}
# A process that was stopped is replaced, and the new one has nothing at hand yet: not in turn with the others.
TOGETHER: Final = (("hop by message", "first node", "first of a stream"), ("stop",))
