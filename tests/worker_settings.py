"""Settings of the workers that tests start: they have the blocks of the tests, and send every message twice."""

from typing import Any

from celery import current_app
from celery.signals import after_task_publish

from config.settings import *  # noqa: F403
from config.settings import BLOCK_MODULES

BLOCK_MODULES = [*BLOCK_MODULES, "tests.execution.blocks", "tests.execution.failing_blocks"]


@after_task_publish.connect
def send_again(body: Any = None, headers: Any = None, routing_key: Any = None, **_options: Any) -> None:
    """Publish the same message a second time."""
    with current_app.producer_pool.acquire(block=True) as producer:
        producer.publish(
            body,
            serializer="json",
            exchange="",
            routing_key=routing_key,
            headers=headers,
            correlation_id=headers["id"],
        )
