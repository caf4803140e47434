"""The files of runs in Django's default storage, as a whole: which runs have any, and removing a run's.

A run's files lie below `runs/{user}/{run}/`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.core.files.storage import default_storage

FOLDER: Final = "runs"


@dataclass(frozen=True, kw_only=True)
class FilesOfRun:
    """Where the files of one run lie."""

    user_id: str
    execution_id: UUID

    @classmethod
    def of_folder(cls, folder: str) -> "FilesOfRun":
        """Return the run's files from what `folder` says."""
        _, user_id, execution_id = folder.split("/")
        return cls(user_id=user_id, execution_id=UUID(execution_id))

    @property
    def folder(self) -> str:
        """The path of the folder within the storage."""
        return f"{FOLDER}/{self.user_id}/{self.execution_id}"

    def exist(self) -> bool:
        """Whether the run has files or a folder for them."""
        folders, files = _list(self.folder)
        return bool(folders or files) or default_storage.exists(self.folder)

    def remove(self) -> int:
        """Remove them all, and return how many there were. To do it twice does no harm.

        Raises whatever the storage raises: each has its own family of errors.
        """
        return _remove_folder(self.folder)


def find_files_of_runs() -> Iterator[FilesOfRun]:
    """Return the runs that have a folder in the storage. What lies there under another kind of name is passed over."""
    for user_id in _list(FOLDER)[0]:
        for name in _list(f"{FOLDER}/{user_id}")[0]:
            execution_id = _as_uuid(name)
            if execution_id is not None:
                yield FilesOfRun(user_id=user_id, execution_id=execution_id)


def _remove_folder(path: str) -> int:
    folders, files = _list(path)
    count = sum(_remove_folder(f"{path}/{name}") for name in folders)
    for name in files:
        default_storage.delete(f"{path}/{name}")
    # Where folders are things of their own, they go too; elsewhere this removes nothing.
    if default_storage.exists(path):
        default_storage.delete(path)
    return count + len(files)


def _list(path: str) -> tuple[list[str], list[str]]:
    """Return the folders and the files of a folder; none if it isn't there."""
    try:
        folders, files = default_storage.listdir(path)
    except FileNotFoundError:
        return [], []
    # Object storages list a folder itself as a file without a name.
    return [name for name in folders if name], [name for name in files if name]


def _as_uuid(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
