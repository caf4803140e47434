"""How a webhook's body comes in: as it is, because its signature is over its bytes."""

from collections.abc import Mapping
from typing import IO, Any, Final

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

BODY: Final = "body"
MAX_BYTES: Final = 1024 * 1024


class RawParser(BaseParser):
    """Keeps the body's bytes under the key `BODY`."""

    media_type = "*/*"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002 - the signature is REST framework's
        parser_context: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> dict[str, bytes]:
        """Return the bytes."""
        body: bytes = stream.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise ParseError(f"The body has more than {MAX_BYTES:,} bytes.")
        return {BODY: body}
