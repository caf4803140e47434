"""The API of what runs ask people."""

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from tests.execution.asking import AGENT, ASKING, address_of, log_in, save, start
from tests.execution.drain import Drain
from tests.execution.small_graphs import ASK, STEP, draw

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def client(user: User) -> APIClient:
    return log_in(user)


def test_a_person_decides_and_the_run_goes_on(client: APIClient, user: User, drain: Drain) -> None:
    run = start(user, save(user, ASKING))
    drain.run()
    (asked,) = client.get("/v1/reviews").json()["results"]
    assert (asked["status"], asked["name"], asked["data"], asked["graph_exec_id"]) == (
        *("WAITING", "Letter", "Dear Ada", str(run.pk)),
    )
    assert client.get(address_of(run)).json()["status"] == "REVIEW"

    decided = client.post(
        f"/v1/reviews/{asked['id']}/decide", {"approved": True, "data": "Dear Ms Lovelace", "message": "Politely"}
    )
    drain.run()

    assert (decided.status_code, decided.json()["status"]) == (200, "APPROVED")
    shown = client.get(address_of(run)).json()
    assert (shown["status"], shown["outputs"]) == ("COMPLETED", {"Answer": ["Dear Ms Lovelace"]})
    again = client.post(f"/v1/reviews/{asked['id']}/decide", {"approved": False})
    assert again.status_code == 409


def test_a_run_whose_sub_run_waits_for_a_person_waits_for_a_person(client: APIClient, user: User, drain: Drain) -> None:
    below = save(user, ASKING)
    agent = {"graph_id": str(below.graph_id), "graph_version": 1, "inputs": {}, "input_schema": {}, "output_schema": {}}
    run = start(user, save(user, draw({"agent": (AGENT, agent)})))
    drain.run()

    assert client.get(address_of(run)).json()["status"] == "REVIEW"


def test_a_run_in_which_something_else_is_under_way_runs(client: APIClient, user: User, drain: Drain) -> None:
    document = draw({"ask": (ASK, {"name": "Letter", "data": 1}), "step": (STEP, {"items": [1]})})
    run = start(user, save(user, document))
    asking = next(each for each in drain.waiting if each.name == "HumanInTheLoopBlock")
    drain.waiting.remove(asking)
    drain.run_one(asking)

    assert client.get(address_of(run)).json()["status"] == "RUNNING"


def test_reviews_that_wait_come_first(client: APIClient, user: User, drain: Drain) -> None:
    version = save(user, ASKING)
    for _ in range(3):
        start(user, version)
    drain.run()
    newest, middle, oldest = (each["id"] for each in client.get("/v1/reviews").json()["results"])

    client.post(f"/v1/reviews/{newest}/decide", {"approved": False})

    assert [each["id"] for each in client.get("/v1/reviews").json()["results"]] == [middle, oldest, newest]
    first = client.get("/v1/reviews", {"page_size": 2}).json()
    assert [each["id"] for each in client.get(first["next"]).json()["results"]] == [newest]


def test_data_that_are_left_out_stay_as_they_were(client: APIClient, user: User, drain: Drain) -> None:
    run = start(user, save(user, ASKING))
    drain.run()
    (asked,) = client.get("/v1/reviews").json()["results"]

    client.post(f"/v1/reviews/{asked['id']}/decide", {"approved": True})
    drain.run()

    assert client.get(address_of(run)).json()["outputs"] == {"Answer": ["Dear Ada"]}
