"""What a run leaves to its replay. Its values stay where they are: each is known by its digest and the row that has it.

So a replay takes as much memory and time as the run has node executions, whatever they emitted.
"""

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from django.core.files.storage import default_storage
from django.db import connection

from execution.engine.pins import NOTHING, find_steps, select
from execution.engine.rehearsal import PastFiring, Played, Values
from execution.engine.statuses import Status
from execution.large_values import ValueWriter, digest_of, read
from execution.run_files import FilesOfRun
from execution.store.inputs import SELECT_INPUTS

# What `large_values` writes into a row in place of a large value. Nothing else looks like that there.
STORED_FORM: Final = r'^\{"\$stored":\{"path":"[^"]*","bytes":[0-9]+(,"sha256":"[0-9a-f]+")?\}\}$'

_KNOWN: Final = """
CASE WHEN v.value::text ~ %(stored)s THEN v.value #>> '{$stored,sha256}'
     ELSE encode(sha256(convert_to(v.value::text, 'UTF8')), 'hex') END AS digest,
CASE WHEN v.value::text ~ %(stored)s THEN v.value #>> '{$stored,path}' END AS path
"""

# The end of a node execution is written before the outputs that came with it.
_LOAD_FIRINGS: Final = f"""
SELECT n.id, n.node_id, n.ordinal, n.status, EXTRACT(EPOCH FROM n.ended_at)::float8,
       (SELECT json_agg(json_build_array(v.pin, k.digest, k.path))
          FROM ({SELECT_INPUTS}) AS v, LATERAL (SELECT {_KNOWN}) AS k)
  FROM execution_nodeexecution n WHERE n.execution_id = %(run)s AND n.status IN ('COMPLETED', 'FAILED')
"""  # noqa: S608 - made of constants

_LOAD_OUTPUTS: Final = f"""
SELECT v.node_execution_id, v.position, v.pin, EXTRACT(EPOCH FROM v.recorded_at)::float8, {_KNOWN}
  FROM execution_nodeexecution n JOIN execution_output v ON v.node_execution_id = n.id
 WHERE n.execution_id = %(run)s AND n.status = 'COMPLETED' ORDER BY v.node_execution_id, v.position
"""  # noqa: S608 - made of constants

_LOAD_VALUE: Final = "SELECT value FROM execution_output WHERE node_execution_id = %s AND position = %s"


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """A value of which only the digest is known, and where its file lies if it has one."""

    digest: str
    path: str = ""


@dataclass(frozen=True, kw_only=True)
class Emitted(StandIn):
    """What a node execution has emitted at a position."""

    node_execution_id: UUID
    position: int


@dataclass(frozen=True, kw_only=True)
class Part(StandIn):
    """What a link from `source_name` takes of what was emitted on `pin`."""

    whole: Emitted
    pin: str
    source_name: str


@dataclass(frozen=True, kw_only=True)
class Given(StandIn):
    """What the run itself is given: it is at hand."""

    value: Any


def know(value: Any) -> Given:
    """Return what stands for a value that is at hand."""
    return Given(digest=digest_of(value), value=value)


def load_past(execution_id: UUID, *, from_id: UUID, changed: Collection[UUID]) -> list[PastFiring]:
    """Return what has ended in a run, with stand-ins for values.

    `from_id` is the node execution that is to run again, `changed` the nodes that are not what they were.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOAD_FIRINGS, {"run": execution_id, "stored": STORED_FORM})
        firings = cursor.fetchall()
        cursor.execute(_LOAD_OUTPUTS, {"run": execution_id, "stored": STORED_FORM})
        outputs: dict[UUID, list[tuple[str, Any, float]]] = {}
        for key, position, pin, moment, digest, path in cursor.fetchall():
            emitted = Emitted(
                digest=digest or _digest_file(path), path=path or "", node_execution_id=key, position=position
            )
            outputs.setdefault(key, []).append((pin, emitted, moment))
    past = []
    for key, node_id, ordinal, status, ended_at, inputs in firings:
        moments = [moment for _, _, moment in outputs.get(key, [])]
        past.append(
            PastFiring(
                id=key,
                node_id=node_id,
                ordinal=ordinal,
                inputs={pin: _input(digest, path) for pin, digest, path in inputs or ()},
                outputs=tuple((pin, value) for pin, value, _ in outputs.get(key, [])),
                moments=(*moments, max(ended_at, *moments[-1:])) if moments else (ended_at,),
                is_reusable=status == Status.COMPLETED and key != from_id and node_id not in changed,
            )
        )
    return past


def find_files(played: Played) -> Iterator[str]:
    """Return where the files lie that the copy of a reused node execution refers to."""
    past = played.reused
    values = [*past.inputs.values(), *(value for _, value in past.outputs)] if past else []
    return (value.path for value in values if value.path)


def _input(digest: str | None, path: str | None) -> StandIn:
    return StandIn(digest=digest or _digest_file(path), path=path or "")


def _digest_file(path: str | None) -> str:
    """Return what a row doesn't say that was written before rows did."""
    with default_storage.open(str(path)) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _identify(value: StandIn) -> str:
    return value.digest


def _select(*, emitted_pin: str, value: Emitted, source_name: str, sink_id: str, sink_name: str) -> Any:
    """Do what `select` does. Only a value of which a part is wanted is read, and not kept."""
    if not find_steps(source_name, emitted_pin=emitted_pin):
        return select(
            emitted_pin=emitted_pin, value=value, source_name=source_name, sink_id=sink_id, sink_name=sink_name
        )
    part = _read_part(value, emitted_pin, source_name)
    if part is NOTHING:
        return NOTHING
    return Part(digest=digest_of(part), whole=value, pin=emitted_pin, source_name=source_name)


def _read_part(whole: Emitted, pin: str, source_name: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(_LOAD_VALUE, [whole.node_execution_id, whole.position])
        ((form,),) = cursor.fetchall()
    return select(emitted_pin=pin, value=read(form), source_name=source_name, sink_id="", sink_name="")


DISTANT: Final = Values(identify=_identify, select=_select)


class CopyingWriter(ValueWriter):
    """Writes stand-ins for the rows of a replay: `mark`, node execution, colon, position, colon, quotation mark.

    So it is JSON text. Nobody can have guessed the mark, so nothing else in a row has it.
    """

    def __init__(self, files: FilesOfRun) -> None:
        super().__init__(files)
        self.mark = f'"$copy-{uuid4()}:'
        self._parts: dict[Part, str] = {}

    def write(self, value: Any) -> str:
        """Return the JSON text for a row. Raises whatever the storage raises."""
        if isinstance(value, Emitted):
            return f'{self.mark}{value.node_execution_id}:{value.position}:"'
        if isinstance(value, Part):
            if value not in self._parts:
                self._parts[value] = self._write(_read_part(value.whole, value.pin, value.source_name))
            return self._parts[value]
        return super().write(value.value if isinstance(value, Given) else value)
