"""What a block gets in tests: files and memory that behave, kept in dictionaries."""

import base64
import binascii
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from graphs.blocks.contract import BlockContext, Media
from graphs.blocks.downloads import download
from graphs.exceptions import BlockError

NOON = datetime(2024, 5, 17, 12, 0, 0, tzinfo=UTC)


class FilesInMemory:
    """Files by reference; a `data:` URI carries its own content."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.names: dict[str, str] = {}
        self.media_types: dict[str, str] = {}
        self.web: dict[str, Media] = {}

    def save(self, content: bytes, *, name: str, media_type: str) -> str:
        """Keep the content; return its reference."""
        reference = f"file:{len(self.contents)}/{name}"
        self.contents[reference] = content
        self.names[reference] = name
        self.media_types[reference] = media_type
        return reference

    def load(self, reference: str) -> bytes:
        """Return the content behind a reference or a base64 `data:` URI."""
        if reference.startswith("data:"):
            return _decode(reference)
        if reference not in self.contents:
            raise BlockError(f"There is no file {reference[:100]!r}.")
        return self.contents[reference]

    async def fetch(self, url: str) -> Media:
        """Return what `web` has at the URL, else what is really there."""
        return self.web[url] if url in self.web else await download(url)


def _decode(uri: str) -> bytes:
    head, comma, payload = uri.partition(",")
    if not comma or not head.endswith(";base64"):
        raise BlockError("The data: URI is not base64.")
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error as error:
        raise BlockError(f"The data: URI is not base64: {error}") from error


class MemoryOfOneRun:
    """Values by key, one store for the graph and one for everything of the user; what is kept is a copy."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self.within_agent: dict[str, Any] = deepcopy(dict(values or {}))
        self.across_agents: dict[str, Any] = {}

    def get(self, key: str, *, across_agents: bool) -> Any:
        """Return the value, or None."""
        return deepcopy(self._store(across_agents).get(key))

    def set(self, key: str, value: Any, *, across_agents: bool) -> None:
        """Keep the value."""
        self._store(across_agents)[key] = deepcopy(value)

    def _store(self, across_agents: bool) -> dict[str, Any]:
        return self.across_agents if across_agents else self.within_agent


def make_context(
    *,
    files: FilesInMemory | None = None,
    memory: MemoryOfOneRun | None = None,
    now: datetime = NOON,
    time_zone: str = "UTC",
    log: list[str] | None = None,
) -> BlockContext:
    """Return a context of its own run; `log` collects what the block logs."""
    lines: list[str] = [] if log is None else log
    return BlockContext(
        user_id="00000000-0000-7000-8000-000000000001",
        graph_id="00000000-0000-7000-8000-000000000002",
        execution_id="00000000-0000-7000-8000-000000000003",
        node_id="00000000-0000-7000-8000-000000000004",
        idempotency_key="00000000-0000-7000-8000-000000000005",
        attempt=1,
        time_zone=time_zone,
        files=files or FilesInMemory(),
        memory=memory or MemoryOfOneRun(),
        now=lambda: now,
        log=lines.append,
    )
