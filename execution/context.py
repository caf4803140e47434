"""What a running block is given of the world: files of its run, values that outlive it, a clock, a log."""

import base64
import binascii
import mimetypes
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import QuerySet

from execution.models import SimulatedValue, StoredValue
from execution.planning import GraphPlan
from execution.store.claims import Claimed
from graphs.blocks.contract import BlockContext, Media
from graphs.blocks.downloads import download
from graphs.exceptions import BlockError

REFERENCE_PREFIX: Final = "file:"
ZONE_MEMORY_SECONDS: Final = 5.0
MADE_UP_FILE: Final = Media(content=b"name,value\nsample,1\n", name="sample.csv", media_type="text/csv")

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RunFiles:
    """The files of one run, in Django's default storage under the id of its user and its run."""

    user_id: int
    execution_id: UUID

    def save(self, content: bytes, *, name: str, media_type: str) -> str:
        """Keep `content`; return a reference that any node of the same user's runs can read."""
        suffix = mimetypes.guess_extension(media_type) or ""
        path = f"runs/{self.user_id}/{self.execution_id}/{uuid.uuid4().hex}{suffix}"
        return REFERENCE_PREFIX + default_storage.save(path, ContentFile(content, name=name))

    def load(self, reference: str) -> bytes:
        """Return the content behind a reference of this user's, or of a `data:` URI."""
        if reference.startswith("data:"):
            return _read_data_uri(reference)
        path = reference.removeprefix(REFERENCE_PREFIX)
        if path == reference or not path.startswith(f"runs/{self.user_id}/") or ".." in path:
            raise BlockError("This is neither a file of one of your runs nor a data: URI.")
        try:
            with default_storage.open(path) as file:
                return bytes(file.read())
        except FileNotFoundError as error:
            raise BlockError("The file is no longer there.") from error
        except (OSError, ValueError, SuspiciousOperation) as error:
            logger.warning("a file can't be read", execution=str(self.execution_id), error=str(error))
            raise BlockError("The file can't be read.") from error

    async def fetch(self, url: str) -> Media:
        """Return the file at a URL of the public internet."""
        return await download(url)


@dataclass(frozen=True)
class SimulatedRunFiles(RunFiles):
    """The files of a simulated run: the web is made up."""

    async def fetch(self, url: str) -> Media:  # noqa: ARG002 - the same file is everywhere
        """Return a small table, without asking anybody; it can be read as a text as well."""
        return MADE_UP_FILE


def _read_data_uri(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise BlockError("A data: URI needs a comma before its content.")
    if not head.endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise BlockError(f"The content of the data: URI is not base64: {error}") from error


@dataclass(frozen=True)
class UserMemory:
    """Values of one user that outlive runs."""

    user_id: int
    graph_id: UUID

    def get(self, key: str, *, across_agents: bool) -> Any:
        """Return the value kept under `key`, or None."""
        kept = self._values(across_agents).filter(key=key).first()
        return kept.value if kept else None

    def set(self, key: str, value: Any, *, across_agents: bool) -> None:
        """Keep `value` under `key`."""
        graph_id = None if across_agents else self.graph_id
        StoredValue.objects.bulk_create(
            [StoredValue(user_id=self.user_id, graph_id=graph_id, key=key, value=value)],
            update_conflicts=True,
            unique_fields=["user", "graph", "key"],
            update_fields=["value", "changed_at"],
        )

    def _values(self, across_agents: bool) -> QuerySet[StoredValue]:
        of_user = StoredValue.objects.filter(user_id=self.user_id)
        return of_user.filter(graph__isnull=True) if across_agents else of_user.filter(graph_id=self.graph_id)


@dataclass(frozen=True)
class SimulatedMemory(UserMemory):
    """What a simulated run sees: the user's values, and over them what it, or a run in its tree, has set itself."""

    root_id: UUID

    def get(self, key: str, *, across_agents: bool) -> Any:
        """Return what the run has set under `key`, or else what is really kept there."""
        of_run = SimulatedValue.objects.filter(execution_id=self.root_id, key=key)
        own = (of_run.filter(graph__isnull=True) if across_agents else of_run.filter(graph_id=self.graph_id)).first()
        return own.value if own else super().get(key, across_agents=across_agents)

    def set(self, key: str, value: Any, *, across_agents: bool) -> None:
        """Keep `value` with the run."""
        graph_id = None if across_agents else self.graph_id
        SimulatedValue.objects.bulk_create(
            [SimulatedValue(execution_id=self.root_id, graph_id=graph_id, key=key, value=value)],
            update_conflicts=True,
            unique_fields=["execution", "graph", "key"],
            update_fields=["value"],
        )


def build_context(claimed: Claimed, graph: GraphPlan, *, log: Callable[[str], None]) -> BlockContext:
    """Return the context of one attempt; in a simulated run it reads the real world and changes nothing of it."""
    user_id, execution_id = claimed.user_id, claimed.execution_id
    root_id = claimed.root_id or execution_id
    return BlockContext(
        user_id=str(claimed.user_id),
        graph_id=str(graph.graph_id),
        execution_id=str(claimed.execution_id),
        node_id=str(claimed.node_id),
        idempotency_key=str(claimed.id),
        attempt=claimed.attempt,
        time_zone=read_time_zone(graph.settings, user_id=user_id),
        files=(SimulatedRunFiles if claimed.simulate else RunFiles)(user_id, execution_id),
        memory=(
            SimulatedMemory(user_id, graph.graph_id, root_id)
            if claimed.simulate
            else UserMemory(user_id, graph.graph_id)
        ),
        now=lambda: datetime.now(UTC),
        log=log,
    )


def read_time_zone(graph_settings: Mapping[str, Any], *, user_id: int) -> str:
    """Return the time zone that a graph asks for, if there is such a one; else its user's, else the installation's."""
    asked = graph_settings.get("time_zone")
    with suppress(KeyError, ValueError, OSError):  # OSError: the name of a directory of zones
        if isinstance(asked, str):
            return ZoneInfo(asked).key
    return _find_zone_of(user_id, int(time.monotonic() / ZONE_MEMORY_SECONDS)) or settings.TIME_ZONE


@lru_cache(maxsize=1000)
def _find_zone_of(user_id: int, _moment: int) -> str:
    """Return the time zone that a user has chosen, or nothing. It is remembered a while: every node execution asks."""
    user = get_user_model().objects.select_related("profile").filter(pk=user_id).first()
    return user.profile.chosen_time_zone if user else ""
