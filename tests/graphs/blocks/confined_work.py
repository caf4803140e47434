"""What the tests of confinement have done in a confined process: good work, bad work and hostile work."""

import os
import socket
from pathlib import Path
from typing import Any

from graphs.exceptions import BlockError


def work(task: str, argument: Any = None) -> Any:
    """Do the task of that name."""
    return TASKS[task](argument)


def echo(argument: Any) -> Any:
    return argument


def process_id(_: Any) -> int:
    return os.getpid()


def refuse(reason: str) -> None:
    raise BlockError(reason)


def fail(reason: str) -> None:
    raise KeyError(reason)


def loop(_: Any) -> None:
    while True:
        pass


def hold_the_interpreter(_: Any) -> int:
    """Stay in one C call that never looks at signals: about a minute of arithmetic."""
    return len(str(7 ** (10**8) % 2))


def fill_memory(size: int) -> int:
    return len(bytearray(size))


def recurse(_: Any) -> None:
    recurse(_)


def nest(depth: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


def crash(_: Any) -> None:
    os.abort()


def open_file(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def open_socket(_: Any) -> None:
    socket.socket()


def environment(_: Any) -> dict[str, str]:
    return dict(os.environ)


TASKS = {
    task.__name__: task
    for task in (
        echo,
        process_id,
        refuse,
        fail,
        loop,
        hold_the_interpreter,
        fill_memory,
        recurse,
        nest,
        crash,
        open_file,
        open_socket,
        environment,
    )
}
