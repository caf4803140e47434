"""Settings for workers that send every message twice."""

from typing import Any

from celery import current_app
from celery.signals import after_task_publish

from config.settings import *  # noqa: F403

_COPY = "copy"


@after_task_publish.connect
def send_again(body: Any = None, headers: Any = None, routing_key: Any = None, **_options: Any) -> None:
    """Publish the same message a second time."""
    with current_app.producer_pool.acquire(block=True) as producer:
        producer.publish(
            body,
            serializer="json",
            exchange="",
            routing_key=routing_key,
            headers={**headers, _COPY: True},
            correlation_id=headers["id"],
        )
