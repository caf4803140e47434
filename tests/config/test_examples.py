"""What the schema shows as bodies of requests can be sent as it stands."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from jsonschema import Draft202012Validator
from rest_framework.test import APIClient

from credits.models import TopUp
from tests.config.belongings import draw_schema, example_body, give_everything, walk
from tests.credits.paying import buy
from tests.credits.stripe_double import StripeDouble

PLACEHOLDERS = {"graph_id", "node_execution_id", "top_up_id"}
"""What examples can't know; the rest of them is sent as it is."""


def with_bodies() -> list[tuple[str, str, Any]]:
    return [each for each in walk(draw_schema()) if "requestBody" in each[2]]


def test_every_body_has_an_example_that_fits_its_schema() -> None:
    schema = draw_schema()
    wrong = {}
    for _, _, operation in walk(schema):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            described = {**content["schema"], "components": schema["components"]}
            found = [
                error.message
                for example in content.get("examples", {}).values()
                for error in Draft202012Validator(described).iter_errors(example["value"])
            ]
            if found or not content.get("examples"):
                wrong[operation["operationId"]] = found or ["There is no example."]

    assert wrong == {}
    assert len(with_bodies()) > 20


@pytest.mark.django_db(transaction=True)
def test_every_example_does_what_it_is_for(
    user: User, client: APIClient, nothing_is_sent: None, stripe_double: StripeDouble
) -> None:
    bought = str(buy(client, stripe_double).pk)
    owned = give_everything(user) | {"top_up_id": bought, "transaction_key": bought}
    # What has ended is of no use to the others.
    operations = sorted(with_bodies(), key=lambda each: each[2]["operationId"] == "replay_execution")

    refused = {}
    for path, method, operation in operations:
        name, place = operation["operationId"], re.sub(r"\{(\w+)\}", lambda found: owned[found[1]], path)
        if name == "replay_execution":
            client.post(place.replace("/replay", "/stop"))
        body = example_body(operation)
        body |= {field: owned[field] for field in PLACEHOLDERS & body.keys()}
        answer = getattr(client, method)(f"{place}?wait=0" if name == "execute_block" else place, body)
        if answer.status_code not in (200, 201, 202):
            refused[name] = (answer.status_code, answer.json()["detail"])

    # Nothing waits in fact for that decision, and money is asked back by either name once a week.
    assert refused == {
        "decide_review": (409, "This was decided before, or its run has ended."),
        "request_refund": (409, "This top-up was sent back before, wholly or in part."),
    }
    assert TopUp.objects.filter(account__user=user).count() == 4
