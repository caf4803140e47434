"""Telling workers which messages are in vain, while the broker dies."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from celery import current_app
from django.conf import settings
from kombu import Connection
from kombu.pools import producers

from config.embedded.valkey import ValkeyServer
from execution.tasks import revoke
from graphs.models import new_id
from tests.config.processes import wait_until


def listens(port: int) -> bool:
    with closing(socket.socket()) as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A broker of the test's own, which the app uses."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = ValkeyServer().program()
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""], stdout=subprocess.DEVNULL
    )
    assert wait_until(lambda: listens(port))
    broker = Connection(f"redis://127.0.0.1:{port}/0", transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS)
    monkeypatch.setattr(current_app.amqp, "_producer_pool", producers[broker])
    monkeypatch.setattr(current_app, "connection_for_write", broker.clone)
    yield server
    server.kill()
    server.wait()


def test_who_stops_a_run_does_not_wait_for_a_broker_that_has_died(mortal: subprocess.Popen[bytes]) -> None:
    revoke([new_id()])  # there is a connection now
    mortal.kill()
    mortal.wait()
    revoking = threading.Thread(target=revoke, args=([new_id()],), daemon=True)

    revoking.start()
    revoking.join(20)

    assert not revoking.is_alive()
