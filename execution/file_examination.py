"""Files without a run, which one leaves behind of which nobody has noted that it was deleted; values without a file."""

from collections.abc import Collection
from itertools import islice
from typing import Final

import structlog
from django.core.files.storage import default_storage
from django.db import Error as DatabaseError
from django.utils import timezone

from execution.models import DeletedRun, Execution
from execution.run_files import FOLDER, FilesOfRun, find_files_of_runs
from execution.store.examination import MOST_HITS, Hit
from execution.store.pruning import SLACK, first_id_of
from execution.store.references import find_references

AT_ONCE: Final = 1000

logger = structlog.get_logger(__name__)


def find_orphaned_files() -> list[Hit]:
    """Return the folders of runs that are gone, but for young ones; or the one sentence why the storage can't tell."""
    hits: list[Hit] = []
    every = find_files_of_runs()
    try:
        while some := list(islice(every, AT_ONCE)):
            hits += [Hit(subject=files.folder, detail="its run is gone") for files in _without_run(some)]
    except Exception as error:  # each storage has its own family of errors
        logger.exception("can't list the storage")
        hits.append(Hit(subject=FOLDER, detail=f"the storage can't be read: {error}"))
    return hits


def find_lost_values() -> list[Hit]:
    """Return the values that rows refer to and that are not in the storage; or the one sentence why it can't tell."""
    hits: dict[str, Hit] = {}
    try:
        for each in find_references():
            if len(hits) == MOST_HITS:
                break
            if not default_storage.exists(each.path):
                hits[each.path] = Hit(
                    run_id=each.run_id, subject=each.path, detail=f"a row of {each.table} refers to it"
                )
    except DatabaseError:
        raise
    except Exception as error:  # each storage has its own family of errors
        logger.exception("can't look into the storage")
        return [Hit(subject=FOLDER, detail=f"the storage can't be read: {error}")]
    return list(hits.values())


def remove_orphaned_files(hit: Hit) -> bool:
    """Remove a folder that was found; False if that can't be done now."""
    if hit.subject == FOLDER:
        return False
    try:
        FilesOfRun.of_folder(hit.subject).remove()
    except Exception:  # each storage has its own family of errors
        logger.exception("can't remove files", folder=hit.subject)
        return False
    return True


def _without_run(every: Collection[FilesOfRun]) -> list[FilesOfRun]:
    # A run's files are written before its row is: nobody can see the row of one that begins at this moment.
    old = [files for files in every if files.execution_id < first_id_of(timezone.now() - SLACK)]
    runs = Execution.objects.filter(pk__in=[files.execution_id for files in old])
    # First the runs: one that is deleted at this moment is in one of both.
    known = set(runs.values_list("pk", flat=True))
    known.update(DeletedRun.objects.filter(pk__in=[files.execution_id for files in old]).values_list("pk", flat=True))
    # One that is cleared away at this moment is in neither, and has no files: look again.
    return [files for files in old if files.execution_id not in known and files.exist()]
