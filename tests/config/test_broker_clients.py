"""What a channel to the broker keeps, so that it need not be made for each message."""

from typing import Any

import pytest
from django.conf import settings
from kombu import Connection

pytestmark = pytest.mark.skipif(
    not settings.CELERY_BROKER_URL.startswith("redis"), reason="a channel to RabbitMQ has no client"
)

KINDS = pytest.mark.parametrize("asynchronous", [False, True])


@KINDS
def test_a_channel_keeps_its_client(broker: Connection, asynchronous: bool) -> None:
    channel: Any = broker.channel()

    client, again = (channel._create_client(asynchronous=asynchronous) for _ in range(2))

    assert client is again
    assert client is not channel._create_client(asynchronous=not asynchronous)
    assert client.connection_pool is (channel.async_pool if asynchronous else channel.pool)


@KINDS
def test_a_channel_whose_connections_were_replaced_makes_a_new_client(broker: Connection, asynchronous: bool) -> None:
    channel: Any = broker.channel()
    before = channel._create_client(asynchronous=asynchronous)

    channel._disconnect_pools()

    after = channel._create_client(asynchronous=asynchronous)
    assert after is not before
    assert after.connection_pool is (channel.async_pool if asynchronous else channel.pool)
    assert after.connection_pool is not before.connection_pool
    assert channel._create_client(asynchronous=asynchronous) is after
