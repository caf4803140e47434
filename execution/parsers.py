"""How the JSON of a request comes in: bounded in size and depth, and without what the database can't keep."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from graphs.exchange.json_text import check_json, parse_json
from graphs.services import read_limits


class StorableJSONParser(BaseParser):
    """Returns the body's value; raises `GraphDocumentError` saying what is wrong with it, and where."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002 - the signature is REST framework's
        parser_context: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> Any:
        """Return the value; an empty body is an empty object."""
        limits = read_limits()
        body: bytes = stream.read(limits.max_bytes + 1)
        if not body.strip():
            return {}
        value = parse_json(body, limits=limits)
        check_json(value, limits=limits)
        return value
