"""A run's progress in the terminal: a line per change, and, where somebody watches, a table that stays up to date.

All of it goes to stderr: stdout is for the result.
"""

import unicodedata
from types import TracebackType
from typing import Final, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from execution.engine.statuses import ENDED, Status
from execution.progress import NodeChange, Progress
from execution.reporting import show_status

MAX_ROWS: Final = 10
_STYLES: Final = {Status.COMPLETED: "green", Status.FAILED: "red", Status.TERMINATED: "yellow", Status.REVIEW: "cyan"}
_DIRECTIONS: Final = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_STATUS_WIDTH: Final = max(len(status) for status in Status)


class LiveProgress:
    """Shows what a `RunWatch` sees. Use it in a `with` block."""

    def __init__(self, stream: TextIO) -> None:
        # Plain lines are never wrapped: whoever reads a log wants one line per change.
        self._console = Console(file=stream, highlight=False, soft_wrap=not stream.isatty())
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if stream.isatty() else None
        self._active: dict[object, NodeChange] = {}

    def __enter__(self) -> "LiveProgress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, sentence: str) -> None:
        """Print a sentence."""
        self._console.print(Text(make_printable(sentence)))

    def show(self, progress: Progress) -> None:
        """Print what changed, and bring the table up to date."""
        for change in progress.changes:
            self._print(change)
            if change.status in ENDED:
                self._active.pop(change.id, None)
            else:
                self._active[change.id] = change
        if self._live is not None:
            self._live.update(self._draw(progress), refresh=True)

    def _print(self, change: NodeChange) -> None:
        status = show_status(change.status)
        # A pause for a sub-run or a timer is nothing to report: it is shown as running, and so it was.
        if change.status is Status.SUSPENDED and change.id in self._active:
            return
        took = f"{change.seconds:8.3f} s" if change.status in ENDED else " " * 10
        line = Text.assemble(
            (f"{status:<{_STATUS_WIDTH}}", _STYLES.get(status, "")),
            f" {took}  {'  ' * change.depth}{make_printable(change.name, on_one_line=True)}",
        )
        if change.error:
            line.append(f": {make_printable(change.error, on_one_line=True)}", style="red")
        self._console.print(line)

    def _draw(self, progress: Progress) -> Table:
        table = Table.grid(padding=(0, 2))
        failed = f", {progress.errors} failed" if progress.errors else ""
        table.add_row(Text(f"{progress.ended} ended{failed}, {progress.unfinished} under way", style="bold"))
        for change in list(self._active.values())[:MAX_ROWS]:
            table.add_row(Text(f"  {make_printable(change.name, on_one_line=True)} {show_status(change.status)}"))
        if len(self._active) > MAX_ROWS:
            table.add_row(Text(f"  … and {len(self._active) - MAX_ROWS} more"))
        return table


def make_printable(text: str, *, on_one_line: bool = False) -> str:
    """Return the text without what could steer a terminal; what comes from graphs may come from anybody."""
    kept = "" if on_one_line else "\n\t"
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if _steers(character) and character not in kept
        else character
        for character in text
    )


def _steers(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") or unicodedata.bidirectional(character) in _DIRECTIONS
