"""What can go wrong with runs."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from graphs.exceptions import BlockError

MOST_NAMED: Final = 20
LONGEST_NAME: Final = 40


def _list(names: Iterable[str]) -> str:
    """Return the names with commas, as far as somebody would read them: they come from outside, of any length."""
    ordered = sorted(names)
    shown = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…" for name in ordered[:MOST_NAMED]]
    more = f" and {len(ordered) - MOST_NAMED:,} more" if len(ordered) > MOST_NAMED else ""
    return f"{', '.join(shown)}{more}"


class ExecutionError(Exception):
    """Anything that this app refuses; its text is meant for the user."""


class InputsUnknownError(ExecutionError):
    """A run was given inputs that its graph doesn't have."""

    def __init__(self, *, unknown: Iterable[str], known: Iterable[str]) -> None:
        names, expected = _list(unknown), _list(known) or "none"
        super().__init__(f"The graph has no input named {names}. Its inputs: {expected}.")


class MasksInvalidError(ExecutionError):
    """The masks of a run don't have their shape."""


class ReviewDecidedError(ExecutionError):
    """Somebody has decided already, or nobody waits for the decision any more."""


class ValueNotStorableError(ExecutionError):
    """A value can't be written as JSON."""


class ExecutionNotFoundError(ExecutionError):
    """There is no such run, or it is somebody else's."""


class ExecutionNotResumableError(ExecutionError):
    """The run has completed, or another run decides about it."""


class ExecutionNotReplayableError(ExecutionError):
    """The run has not ended, or the node execution has never been ready to run."""


class ReplayInvalidError(ExecutionError):
    """The version of the graph is older than the run's, or doesn't have the node."""


class ExecutionNotDeletableError(ExecutionError):
    """The run goes on, or goes with another."""


class ShareLinkNotFoundError(ExecutionError):
    """There is no such link, or it has ended."""


class PresetNotFoundError(ExecutionError):
    """There is no such preset, or it is somebody else's."""


class ReviewNotFoundError(ExecutionError):
    """There is no such question, or it was asked by somebody else's run."""


class InputsRefusedError(BlockError):
    """A node execution's inputs don't fit its block: trying again changes nothing."""


class SubRunFailedError(BlockError):
    """A sub-run ended FAILED. If what waits for it is tried again, the sub-run goes on where it was cut off."""

    def __init__(self, text: str, *, sub_run_id: UUID) -> None:
        super().__init__(text)
        self.sub_run_id = sub_run_id
