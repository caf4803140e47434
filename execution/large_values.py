"""Values as rows keep them: a large one lies in the storage, with the files of its run, and its row refers to it.

In a row, `{"$stored": {"path": …, "bytes": …, "sha256": …}}` stands for a value of more than `LARGE_VALUE_BYTES` of
JSON. A value that looks like that itself is wrapped as `{"$plain": value}`, so nobody can make up a reference.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage

from execution.run_files import FilesOfRun
from execution.values import dump

STORED: Final = "$stored"
PLAIN: Final = "$plain"
VALUES_FOLDER: Final = "values"


@dataclass(frozen=True)
class Kept:
    """A value in the form in which a row of the same run has it. It goes to another row as it is."""

    form: Any


@dataclass(frozen=True)
class Reference:
    """Where a large value lies in the storage, how many bytes of JSON it is, and their digest (in hex)."""

    path: str
    bytes: int
    sha256: str = ""


class ValueWriter:
    """Writes values for the rows of one run. The same object is written once, to however many rows it goes."""

    def __init__(self, files: FilesOfRun) -> None:
        self._folder = f"{files.folder}/{VALUES_FOLDER}"
        self._written: dict[int, tuple[Any, str]] = {}

    def write(self, value: Any) -> str:
        """Return the JSON text for a row. Raises whatever the storage raises."""
        if isinstance(value, Kept):
            return dump(value.form)
        if not isinstance(value, str | list | dict):
            return dump(value)
        if id(value) not in self._written:
            # The value is kept with its text: its id must not become another's.
            self._written[id(value)] = value, self._write(value)
        return self._written[id(value)][1]

    def read(self, form: Any) -> Any:
        """Return the value that a row of the run keeps in this form. What this has written is at hand.

        Raises whatever the storage raises.
        """
        if find_reference(form) is None:
            return read(form)
        text = dump(form)
        at_hand = [value for value, written in list(self._written.values()) if written == text]
        return at_hand[0] if at_hand else read(form)

    def join(self, other: "ValueWriter") -> None:
        """Have this and another writer of the same run know from now on what either has written."""
        self._written |= other._written
        other._written = self._written

    def write_all(self, values: Mapping[str, Any]) -> str:
        """Return the JSON text of an object of values by pin, each in the form of a row."""
        return "{" + ",".join(f"{dump(pin)}:{self.write(value)}" for pin, value in values.items()) + "}"

    def write_masks(self, masks: Mapping[str, Mapping[str, Any]]) -> str:
        """Return the JSON text of values by pin by node, each in the form of a row."""
        return "{" + ",".join(f"{dump(node)}:{self.write_all(mask)}" for node, mask in masks.items()) + "}"

    def _write(self, value: Any) -> str:
        text = dump(value)
        content = text.encode("ascii")
        if len(content) > settings.LARGE_VALUE_BYTES:
            name = default_storage.save(f"{self._folder}/{uuid4()}.json", ContentFile(content))
            _bring_to_disk(name)
            return dump({STORED: {"path": name, "bytes": len(content), "sha256": _digest(content)}})
        return _in_row(value, text)


def join_writers(writers: Sequence[ValueWriter]) -> ValueWriter:
    """Let each of these, of one run, know what any of them writes; return one of them."""
    first, *others = writers
    for other in others:
        first.join(other)
    return first


def share(paths: Iterable[str], files: FilesOfRun) -> None:
    """Have values that lie with the files of one run lie with those of another, too, under the same names.

    Either run's can be removed by themselves. Nothing is read where the storage is a disk of this machine.
    """
    names = {path: f"{files.folder}/{VALUES_FOLDER}/{path.rpartition('/')[2]}" for path in paths}
    for path, name in names.items():
        if not _link(path, name):
            with default_storage.open(path) as file:
                default_storage.save(name, file)
    if isinstance(default_storage, FileSystemStorage):
        for folder in {Path(default_storage.path(name)).parent for name in names.values()}:
            _bring_entry_to_disk(folder)


def digest_of(value: Any) -> str:
    """Return the digest of a value's JSON as rows keep it, or as the storage does if it is large."""
    text = dump(value)
    return _digest((text if len(text) > settings.LARGE_VALUE_BYTES else _in_row(value, text)).encode("ascii"))


def find_reference(form: Any) -> Reference | None:
    """Return where the value of a row lies if it is not in the row itself."""
    if isinstance(form, dict) and len(form) == 1 and STORED in form:
        return Reference(**form[STORED])
    return None


def read(form: Any) -> Any:
    """Return the value that a row keeps in this form. Raises whatever the storage raises."""
    reference = find_reference(form)
    if reference is not None:
        with default_storage.open(reference.path) as file:
            return json.loads(file.read())
    if isinstance(form, dict) and len(form) == 1 and PLAIN in form:
        return form[PLAIN]
    return form


def read_all(forms: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by pin from their forms."""
    return {pin: read(form) for pin, form in forms.items()}


def read_masks(forms: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return values by pin by node from their forms."""
    return {node: read_all(mask) for node, mask in forms.items()}


def _in_row(value: Any, text: str) -> str:
    if isinstance(value, dict) and len(value) == 1 and (STORED in value or PLAIN in value):
        return f'{{"{PLAIN}":{text}}}'
    return text


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _bring_to_disk(name: str) -> None:
    """Have a file survive a power cut as its row does, where the storage is a disk of this machine."""
    if not isinstance(default_storage, FileSystemStorage):
        return
    path = Path(default_storage.path(name))
    for each in (path, path.parent):
        _bring_entry_to_disk(each)


def _bring_entry_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link(path: str, name: str) -> bool:
    """Give a file a second name; False if the storage can't. A file is never changed, so nobody notices."""
    if not isinstance(default_storage, FileSystemStorage):
        return False
    target = Path(default_storage.path(name))
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(default_storage.path(path))
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return True
