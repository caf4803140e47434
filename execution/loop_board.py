"""What an `io` worker shows of its event loop to the process that watches it, in memory that both share.

It beats as long as the loop goes round, and tells which attempts run and whose code the loop is in at this moment. Only
the loop's thread writes; the watcher looks when that thread stands still.
"""

import mmap
import struct
from typing import Final
from uuid import UUID

from execution.places import Running

MOST_SHOWN: Final = 4096

# The number of beats, the token of the attempt whose code runs, and that of the suspect that runs. Then one place for
# each attempt.
_HEAD: Final = struct.Struct("=Q16s16s")
_PLACE: Final = struct.Struct("=16s16s16s")
_NOBODY: Final = bytes(16)
_CURRENT_AT: Final = 8
_SUSPECT_AT: Final = 24


class LoopBoard:
    """The board. Made by the watcher before it forks the worker."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _HEAD.size + MOST_SHOWN * _PLACE.size)
        self._places: dict[UUID, int] = {}
        self._free = list(range(MOST_SHOWN))

    def clear(self) -> None:
        """Show nothing, for the next worker."""
        self._memory[:] = bytes(len(self._memory))

    def beat(self) -> None:
        """Show that the loop goes round."""
        struct.pack_into("=Q", self._memory, 0, self.beats + 1)

    def enter(self, token: bytes) -> None:
        """Show whose code runs from now on."""
        self._memory[_CURRENT_AT:_SUSPECT_AT] = token

    def leave(self) -> None:
        """Show that it is nobody's any more."""
        self._memory[_CURRENT_AT:_SUSPECT_AT] = _NOBODY

    def begin_suspect(self, token: UUID) -> None:
        """Show that this suspect runs; one does at a time."""
        self._memory[_SUSPECT_AT : _HEAD.size] = token.bytes

    def end_suspect(self) -> None:
        """Show that none does any more."""
        self._memory[_SUSPECT_AT : _HEAD.size] = _NOBODY

    def show(self, running: Running) -> None:
        """Show an attempt, if there is room."""
        if self._free:
            place = self._places[running.token] = self._free.pop()
            ids = running.node_execution_id.bytes, running.execution_id.bytes, running.token.bytes
            _PLACE.pack_into(self._memory, _HEAD.size + place * _PLACE.size, *ids)

    def hide(self, token: UUID) -> None:
        """Don't show an attempt any more."""
        place = self._places.pop(token, None)
        if place is not None:
            _PLACE.pack_into(self._memory, _HEAD.size + place * _PLACE.size, _NOBODY, _NOBODY, _NOBODY)
            self._free.append(place)

    @property
    def beats(self) -> int:
        """How often the loop has beaten; 0 before it is there."""
        (count,) = struct.unpack_from("=Q", self._memory, 0)
        return int(count)

    @property
    def current(self) -> UUID | None:
        """The token of the attempt whose code the loop is in."""
        return self._read_token(_CURRENT_AT)

    @property
    def suspect(self) -> UUID | None:
        """The token of the suspect that runs."""
        return self._read_token(_SUSPECT_AT)

    def _read_token(self, place: int) -> UUID | None:
        token = self._memory[place : place + len(_NOBODY)]
        return None if token == _NOBODY else UUID(bytes=token)

    def find_running(self) -> dict[UUID, Running]:
        """Return the attempts that are shown, by token."""
        found = {}
        for place in range(MOST_SHOWN):
            ids = _PLACE.unpack_from(self._memory, _HEAD.size + place * _PLACE.size)
            node_execution, execution, token = (UUID(bytes=each) for each in ids)
            if token.int:
                found[token] = Running(node_execution_id=node_execution, execution_id=execution, token=token)
        return found


# Where this process shows what its loop does; a process that nobody watches shows it to itself.
board = LoopBoard()
