"""One of everything that a user can have, by the names of path parameters; and a walk along all operations."""

from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from config.accounts.keys import make_key
from config.models import ApiKey, Notice
from credits.models import Account, TopUp, TopUpKind, TopUpStatus
from execution.models import NodeExecution, Preset, Review
from execution.services import start_execution
from execution.sharing import share_execution
from graphs.samples import DOCUMENT_EXAMPLE
from graphs.services import import_graph
from scheduling.services import create_schedule

METHODS = ("get", "post", "put", "patch", "delete")
CALCULATOR = "b1ab9b19-67a6-406d-abf5-2dba76d00c79"


def give_everything(user: User) -> dict[str, str]:
    """Give a user one of each; return {path parameter: value}. What is sent goes nowhere: see to that."""
    version = import_graph(owner=user, document=DOCUMENT_EXAMPLE).version
    run = start_execution(user=user, version=version, input_data={"Number": 8})
    node_execution = NodeExecution.objects.filter(execution=run).earliest("id")
    review = Review.objects.create(
        node_execution=node_execution, wait=0, name="Letter", data="Dear Ada", created_at=timezone.now()
    )
    preset = Preset.objects.create(user=user, graph=version.graph, name="Usual", input_data={"Number": 8})
    schedule = create_schedule(
        user=user, graph_id=version.graph_id, fields={"name": "Often", "cron": "@hourly", "input_data": {"Number": 8}}
    )
    top_up = TopUp.objects.create(
        account=Account.objects.get(user=user),
        kind=TopUpKind.CHECKOUT,
        status=TopUpStatus.PAID,
        amount=500,
        session_id=f"cs_of_{user.pk}",
        payment_id=f"pi_of_{user.pk}",
    )
    make_key(user=user, name="laptop", scopes=["read"])
    return {
        "graph_id": str(version.graph_id),
        "version": "1",
        "execution_id": str(run.pk),
        "node_execution_id": str(node_execution.pk),
        "review_id": str(review.pk),
        "preset_id": str(preset.pk),
        "schedule_id": str(schedule.pk),
        "top_up_id": str(top_up.pk),
        "transaction_key": str(top_up.pk),
        "notice_id": str(Notice.objects.create(user=user, kind="LOW_BALANCE", text="Your balance is low.").pk),
        "key_id": str(ApiKey.objects.get(user=user).pk),
        "token": share_execution(run=run)[1],
        "block_id": CALCULATOR,
    }


def draw_schema() -> Any:
    """Return the schema of the API."""
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


def walk(schema: Any) -> Iterator[tuple[str, str, Any]]:
    """Return each operation as path, method and what the schema says of it."""
    for path, item in schema["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def example_body(operation: Any) -> Any:
    """Return a body that the operation takes: its example, or one with a name."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    examples = [example["value"] for example in content.get("examples", {}).values()]
    return examples[0] if examples else None
