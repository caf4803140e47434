"""Whoever does something again and again in a thread of their own, until they are told to leave."""

import threading
from abc import ABC, abstractmethod
from typing import Final

from django.db import connection

PAUSE: Final = 0.05
PAUSE_AFTER_ERROR: Final = 0.3
_LAST_ACT_SECONDS: Final = 60.0


class Actor(ABC):
    """A thread that acts; it has a database session of its own while it lives."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._leaving = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def leave(self) -> None:
        """Act no more, and wait for the end of the last act. Raises what an actor should never meet."""
        self._leaving.set()
        self._thread.join(_LAST_ACT_SECONDS)
        if self._thread.is_alive():
            raise TimeoutError(f"After {_LAST_ACT_SECONDS:.0f} seconds {self._name} has not left.")
        if self._failure is not None:
            raise self._failure

    def _loop(self) -> None:
        try:
            while not self._leaving.is_set():
                self._act()
        except BaseException as error:  # noqa: BLE001 - raised again by `leave`
            self._failure = error
        finally:
            connection.close()

    @abstractmethod
    def _act(self) -> None:
        """Do the next thing; whoever waits, waits for `_leaving`."""
