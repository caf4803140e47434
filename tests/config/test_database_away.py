"""While the database is away, clients are told to come again."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection
from rest_framework.test import APIClient

from config.accounts.keys import make_key

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def go_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Lets nobody reach the database any more, until the test is over."""

    def go() -> None:
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")

    yield go
    connection.close()


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "again"}])
def test_the_answer_says_when_to_come_again(user: User, go_away: Callable[[], None], headers: dict[str, str]) -> None:
    secret = make_key(user=user, name="scripts", scopes=["read", "execute"]).secret
    client = APIClient(headers={"X-API-Key": secret, **headers}, raise_request_exception=False)
    go_away()

    answer = client.post("/v1/graphs/0190f3f4-0000-7000-8000-000000000000/execute", {})

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer["Content-Type"] == "application/problem+json"
    assert "database" in answer.json()["detail"] and "/nowhere" not in answer.content.decode()


def test_it_goes_on_when_the_database_is_back(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = APIClient(headers={"X-API-Key": make_key(user=user, name="scripts", scopes=["read"]).secret})

    with monkeypatch.context() as away:
        connection.close()
        away.setitem(connection.settings_dict, "HOST", "/nowhere")
        assert client.get("/v1/me").status_code == 503

    assert client.get("/v1/me").status_code == 200
