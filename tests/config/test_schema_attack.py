"""Whatever is sent to the API, it answers as its schema says, and never with a fault of its own.

schemathesis makes the requests: as an owner, as another user, and without a login. `API_EXAMPLES` says how many for
each operation; `make fuzz` sends many.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks

from config.accounts.keys import make_key
from tests.config.belongings import give_everything

EXAMPLES = int(os.environ.get("API_EXAMPLES", "2"))
SCOPES = ["read", "execute", "write", "credits"]

# What a schema can't say: there may be more to a good graph, and what is unknown is passed over.
CHECKS: list[Any] = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True)
def connection_stays() -> Iterator[None]:
    """Keep the connection with the test's transaction, as Django's own test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture(autouse=True)
def nothing_is_counted(nothing_is_sent: None, settings: Settings) -> None:
    settings.REDIS_URL = None
    settings.API_RATES = dict.fromkeys(settings.API_RATES, 10**9)


def attack(headers: dict[str, str], owned: dict[str, str]) -> list[str]:
    """Send requests to all operations, half of them to things that are there; return what was wrong."""
    schema = schemathesis.openapi.from_wsgi("/v1/schema/?format=json", app=get_wsgi_application())
    wrong = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        try:
            _attack_operation(found.ok(), headers, owned)()
        except FailureGroup as failures:
            wrong += [f"{found.ok().label}: {failure}" for failure in failures.exceptions]
    return wrong


def _attack_operation(operation: Any, headers: dict[str, str], owned: dict[str, str]) -> Callable[[], None]:
    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=EXAMPLES < 10,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), is_there=st.booleans())
    def send(case: Any, is_there: bool) -> None:
        if is_there:
            case.path_parameters = {name: owned[name] for name in case.path_parameters}
        with transaction.atomic():
            response = case.call(headers=headers)
            transaction.set_rollback(True)
        case.validate_response(response, checks=CHECKS)

    return send


def key_of(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {make_key(user=user, name='attack', scopes=SCOPES).secret}"}


def test_an_owner_gets_what_the_schema_says(user: User) -> None:
    owned = give_everything(user)

    wrong = attack(key_of(user), owned)

    assert not wrong, "\n\n".join(wrong)


def test_another_user_gets_what_the_schema_says(user: User) -> None:
    owned = give_everything(user)

    wrong = attack(key_of(User.objects.create_user("mallory")), owned)

    assert not wrong, "\n\n".join(wrong)


def test_who_has_no_login_gets_what_the_schema_says(user: User) -> None:
    owned = give_everything(user)

    wrong = attack({}, owned)

    assert not wrong, "\n\n".join(wrong)
