"""The inside of a confined process: it runs one function for its owner, again and again, and can do nothing else.

`confinement.Confined` starts it and is the only one to talk to it. A message is a length and then that many bytes; a
request is a time limit (seconds) and the JSON list of the function's arguments, an answer is the JSON object
`{"result": …}` or `{"error": text}` or `{"out_of_memory": true}`. It is JSON, not pickle, so that an answer stays data
even if somebody breaks out of a sandbox in here.
"""

import contextlib
import importlib
import json
import resource
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from graphs.exceptions import BlockError

LENGTH = struct.Struct("!Q")
TIME_LIMIT = struct.Struct("!d")

# The owner kills us at the limit; we only have to end by ourselves, this many seconds later, if the owner is gone.
ORPHAN_GRACE = 1.0

READY = b"ready"
OUT_OF_MEMORY = b'{"out_of_memory": true}'
TOO_DEEP = b'{"error": "It is nested too deeply."}'


def encode(value: Any) -> bytes:
    """Return `value` as JSON; what is not JSON (a date, an id) becomes its text."""
    return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")


def send(connection: socket.socket, message: bytes) -> None:
    """Send one message; raises `OSError` if the other side is gone or too slow."""
    connection.sendall(LENGTH.pack(len(message)))
    connection.sendall(message)


def receive(connection: socket.socket, *, deadline: float | None = None, size_limit: int | None = None) -> bytes | None:
    """Return the next message, or None if the other side has closed.

    Raises `TimeoutError` when `deadline` (of `time.monotonic`) has passed, `OSError` for a message of more than
    `size_limit` bytes.
    """
    header = _receive_exactly(connection, LENGTH.size, deadline)
    if header is None:
        return None
    (length,) = LENGTH.unpack(header)
    if size_limit is not None and length > size_limit:
        raise OSError(f"A message of {length} bytes is larger than {size_limit}.")
    return _receive_exactly(connection, length, deadline)


def _receive_exactly(connection: socket.socket, length: int, deadline: float | None) -> bytes | None:
    content = bytearray(length)
    rest = memoryview(content)
    while rest:
        if deadline is not None:
            connection.settimeout(max(deadline - time.monotonic(), 1e-6))
        received = connection.recv_into(rest)
        if not received:
            return None
        rest = rest[received:]
    return bytes(content)


def serve(module: str, function: str, memory_limit: int) -> None:
    """Answer the requests that come in on standard input, a socket, until it is closed."""
    work = getattr(importlib.import_module(module), function)
    connection = socket.socket(fileno=0)
    _give_up_resources(memory_limit)
    # Unhandled, the alarm has the kernel end the process, whatever it is doing; it may have come to us ignored.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    # The owner may go at any moment, and then there is nothing left to do, or to say.
    with contextlib.suppress(OSError):
        send(connection, READY)
        while (request := receive(connection)) is not None:
            (time_limit,) = TIME_LIMIT.unpack_from(request)
            signal.setitimer(signal.ITIMER_REAL, time_limit + ORPHAN_GRACE)
            send(connection, _answer(work, request[TIME_LIMIT.size :]))
            signal.setitimer(signal.ITIMER_REAL, 0)


def _give_up_resources(memory_limit: int) -> None:
    """Bound the memory (bytes), and give up opening anything: no file, no socket, no program."""
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_AS: memory_limit, resource.RLIMIT_NOFILE: 0}
    for limit, value in limits.items():
        # macOS knows no limit of the address space; the time limit holds there all the same.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(limit, (value, value))


def _answer(work: Callable[..., Any], arguments: bytes) -> bytes:
    try:
        return encode({"result": work(*json.loads(arguments))})
    except MemoryError:
        return OUT_OF_MEMORY
    except RecursionError:
        return TOO_DEEP
    except BlockError as error:
        return encode({"error": str(error)})
    except Exception as error:  # noqa: BLE001 - whatever hostile input brings about is an answer, not our end
        return encode({"error": f"{type(error).__name__}: {error}"})
