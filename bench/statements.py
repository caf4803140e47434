"""Which SQL statements were executed, how often, and how long the server took: read from PostgreSQL's own log.

The embedded PostgreSQL has no `pg_stat_statements`. Writing a line per statement costs time, so what is counted this
way is a run of its own, never a timed one.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from psycopg import Connection

ON_SECONDS: Final = 5.0
_PREFIX: Final = "bench<%p>"
_LINE: Final = re.compile(
    r"^bench<\d+>LOG:  duration: (?P<ms>[\d.]+) ms "
    r" (?P<kind>statement|execute|parse|bind) ?(?P<name>[^:]*): (?P<sql>.*)$"
)
_IS_KNOWN: Final = re.compile(r"^PREPARE \w+ \(.*?\) AS ")
_LITERALS: Final = (
    (re.compile(r"'(?:[^']|'')*'"), "?"),
    (re.compile(r"\$\d+"), "?"),
    (re.compile(r"\b\d+(?:\.\d+)?\b"), "?"),
    (re.compile(r"::\w+(?:\[\])?"), ""),
    (re.compile(r"\(\s*\?(?:\s*,\s*\?)*\s*\)(?:\s*,\s*\(\s*\?(?:\s*,\s*\?)*\s*\))*"), "(?…)"),
    (re.compile(r"\s+"), " "),
)


@dataclass
class Statement:
    """A statement without its values: `calls` and the server's `milliseconds` for all of them."""

    text: str
    calls: int = 0
    milliseconds: float = 0.0


@dataclass
class StatementLog:
    """What was executed while it was on, in all sessions."""

    statements: dict[str, Statement] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """All statements. Those of a batch travel together: a record takes two round trips."""
        return sum(statement.calls for statement in self.statements.values())

    def by_time(self) -> list[Statement]:
        """Return the statements, those that took longest first."""
        return sorted(self.statements.values(), key=lambda statement: -statement.milliseconds)


@contextmanager
def statements_logged(session: "Connection[Any]", *, log: Path) -> Iterator[StatementLog]:
    """Have PostgreSQL log each statement during the block; what it wrote is in the result when the block is left."""
    found = StatementLog()
    _configure(session, {"log_line_prefix": _PREFIX, "log_min_duration_statement": "0"})
    begins = log.stat().st_size
    try:
        yield found
    finally:
        ends = log.stat().st_size
        _configure(session, {"log_line_prefix": None, "log_min_duration_statement": None})
        with log.open("rb") as lines:
            lines.seek(begins)
            read_log(lines.read(ends - begins).decode(errors="replace"), into=found)


def read_log(text: str, *, into: StatementLog) -> None:
    """Count the statements of a piece of log; a statement's further lines begin with a tab."""
    for entry in re.sub(r"\n\t", " ", text).splitlines():
        match = _LINE.match(entry)
        if match is None:
            continue
        key = normalize(match["sql"])
        if match["kind"] != "statement" and _IS_KNOWN.match(key):
            key = _IS_KNOWN.sub(f"{match['name']}: ", key)
        statement = into.statements.setdefault(key, Statement(key))
        # One that isn't sent as a text alone is parsed, if it is not known, bound and executed: up to three lines.
        statement.calls += match["kind"] in ("statement", "execute")
        statement.milliseconds += float(match["ms"])


def normalize(sql: str) -> str:
    """Return a statement with a question mark for each value."""
    for pattern, replacement in _LITERALS:
        sql = pattern.sub(replacement, sql)
    return sql.strip()


def _configure(session: "Connection[Any]", values: dict[str, str | None]) -> None:
    """Change settings of the whole server, and wait until they hold."""
    for name, value in values.items():
        if value is None:
            session.execute(f"ALTER SYSTEM RESET {name}")
        else:
            session.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    session.execute("SELECT pg_reload_conf()")
    deadline = time.monotonic() + ON_SECONDS
    wanted = values["log_line_prefix"] or ""
    while time.monotonic() < deadline:
        row = session.execute("SELECT current_setting('log_line_prefix')").fetchone()
        if row and (row[0] == wanted or (not wanted and row[0] != _PREFIX)):
            return
    raise TimeoutError("PostgreSQL does not take its new settings.")
