"""How a graph's JSON comes in: as it is, so that the importer can say what is wrong with it, and where."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from graphs.exceptions import DocumentTooLargeError
from graphs.services import read_limits

BODY = "body"


class GraphDocumentParser(BaseParser):
    """Keeps the body's bytes under the key `BODY`, and reads no more of them than a graph may have."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002 - the signature is REST framework's
        parser_context: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return the bytes; raises `DocumentTooLargeError` if there are too many."""
        limit = read_limits().max_bytes
        body: bytes = stream.read(limit + 1)
        if len(body) > limit:
            raise DocumentTooLargeError(f"The document has more than {limit:,} bytes; no more are read.")
        return {BODY: body}
