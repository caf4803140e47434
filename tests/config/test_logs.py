"""Logs carry ids and no secrets."""

import json
import logging
import logging.config
from collections.abc import Iterator

import pytest
import structlog
from django.conf import settings

from config.logs import logging_settings


@pytest.fixture
def json_logs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    monkeypatch.setenv("LOG_FORMAT", "json")
    logging.config.dictConfig(logging_settings(level="INFO"))
    yield
    monkeypatch.undo()
    logging.config.dictConfig(settings.LOGGING)


@pytest.mark.usefixtures("json_logs")
def test_ids_that_are_bound_are_in_every_line_and_secrets_in_none(capsys: pytest.CaptureFixture[str]) -> None:
    with structlog.contextvars.bound_contextvars(execution_id="run-1", node_execution_id="node-1"):
        structlog.get_logger("test").info("ours", api_key="sesame", password="sesame", tries=3)
        logging.getLogger("another.library").warning("theirs: %s", 7)

    lines = capsys.readouterr().err.splitlines()
    ours, theirs = (json.loads(line) for line in lines)
    assert (ours["execution_id"], ours["node_execution_id"], ours["tries"]) == ("run-1", "node-1", 3)
    assert (theirs["event"], theirs["execution_id"]) == ("theirs: 7", "run-1")
    assert "sesame" not in str(ours)
