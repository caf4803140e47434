"""Structured logs: one line per event, with the run's and node's ids if they are bound, without secrets."""

import os
import re
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET = re.compile(r"password|passwd|secret|token|authorization|api_?key|credential|cookie", re.IGNORECASE)


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values whose names say that they are secret."""
    for key in event:
        if _SECRET.search(key):
            event[key] = "***"
    return event


def logging_settings(*, level: str) -> dict[str, Any]:
    """Return Django's LOGGING and set structlog up alike. LOG_FORMAT=json gives JSON lines.

    Ids are bound with `structlog.contextvars.bind_contextvars(execution_id=…, node_execution_id=…)`.
    """
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    structlog.configure(
        processors=[*processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    is_json = os.environ.get("LOG_FORMAT") == "json"
    renderer = (
        structlog.processors.JSONRenderer() if is_json else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": processors,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            }
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            "django.server": {"handlers": [], "level": level, "propagate": True},
        },
    }
