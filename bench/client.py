"""The REST API as a logged-in user sees it, without the network in between."""

from typing import Any

from django.contrib.auth.models import User
from rest_framework.test import APIClient

from bench.contender import RunFailedError


def log_in(user: User) -> APIClient:
    """Return a client with a session of its own: each request looks up its user."""
    client = APIClient(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def get(client: APIClient, address: str) -> Any:
    """Return what an address shows; RunFailedError if that isn't a success."""
    return _read(client.get(address), address)


def post(client: APIClient, address: str, body: Any) -> Any:
    """Return the answer to a POST; RunFailedError if that isn't a success."""
    return _read(client.post(address, body, format="json"), address)


def _read(answer: Any, address: str) -> Any:
    if not 200 <= answer.status_code < 300:
        raise RunFailedError(f"{address} answers {answer.status_code}: {answer.content[:300]!r}")
    return answer.json()
