"""Logs carry ids and no secrets."""

import io
import json
import logging
import logging.config
from collections.abc import Iterator

import pytest
import structlog
from django.conf import settings

from config.logs import logging_settings


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged as JSON."""
    stream, kept = io.StringIO(), structlog.get_config()
    monkeypatch.setenv("LOG_FORMAT", "json")
    wanted = logging_settings(level="INFO")
    wanted["handlers"]["console"]["stream"] = stream
    logging.config.dictConfig(wanted)
    yield stream
    # Loggers that are in use hold the list of its processors, which is where others catch what is logged.
    structlog.configure(**kept)
    logging.config.dictConfig(settings.LOGGING)


def test_ids_that_are_bound_are_in_every_line_and_secrets_in_none(lines: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(execution_id="run-1", node_execution_id="node-1"):
        structlog.get_logger("test").info("ours", api_key="sesame", password="sesame", tries=3)
        logging.getLogger("another.library").warning("theirs: %s", 7)

    ours, theirs = (json.loads(line) for line in lines.getvalue().splitlines())
    assert (ours["execution_id"], ours["node_execution_id"], ours["tries"]) == ("run-1", "node-1", 3)
    assert (theirs["event"], theirs["execution_id"]) == ("theirs: 7", "run-1")
    assert "sesame" not in lines.getvalue()
