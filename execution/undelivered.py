"""Who wants to know that messages couldn't be sent: a request, to say in its answer that its run starts later."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final


@dataclass
class Undelivered:
    """How many messages couldn't be sent since somebody began to listen. Recovery will send them."""

    count: int = 0


_listening: Final[ContextVar[Undelivered | None]] = ContextVar("undelivered", default=None)


@contextmanager
def listen_for_undelivered() -> Iterator[Undelivered]:
    """Count what is noted in this context, and in threads that it hands work to."""
    heard = Undelivered()
    token = _listening.set(heard)
    try:
        yield heard
    finally:
        _listening.reset(token)


def note_undelivered(count: int) -> None:
    """Tell whoever listens."""
    heard = _listening.get()
    if heard is not None:
        heard.count += count
