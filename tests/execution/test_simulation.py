"""A simulated run goes through the real engine, and leaves the world as it is."""

import socket
from typing import Any

import pytest
from django.contrib.auth.models import User

from execution.context import MADE_UP_FILE, UserMemory
from execution.engine.statuses import Status
from execution.models import Execution, RunOutput, SimulatedValue, StoredValue
from execution.services import start_execution
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.drain import Drain
from tests.execution.reference import outputs_by_name
from tests.execution.small_graphs import CALCULATOR, INPUT, OUTPUT, draw, node_id

pytestmark = pytest.mark.django_db(transaction=True)

URL = "http://files.invalid/table.csv"
FILE_STORE = "cbb50872-625b-42f0-8203-a2ae78242d8a"
FILE_READ = "3735a31f-7e18-4aca-9e90-08a7120674bc"
FILE_INPUT = "95ead23f-8283-4654-aef3-10c053b74a31"
SPREADSHEET = "acf7625e-d2cb-4941-bfeb-2819fc6fc015"
PERSIST = "1d055e55-a2b9-4547-8311-907d05b0304d"
RETRIEVE = "d8710fc9-6e29-481e-a7d5-165eb16f8471"
AGENT = "e189baac-8c20-45a1-94a7-55177ea42565"
INPUTS = {
    "short": "7fcd3bcb-8e1b-4e69-903d-32d3d4a92158",
    "number": "96dae2bb-97a2-41c2-bd2f-13a3b5a8ea98",
    "day": "7e198b09-4994-47db-8b4d-952d98241817",
    "clock": "2a1c757e-86cf-4c7e-aacf-060dc382e434",
    "size": "655d6fdf-a334-421c-b733-520549c07cd1",
    "loud": "cbf36ab5-df4a-43b6-8a7f-f7ed8652116e",
    "file": FILE_INPUT,
    "any": INPUT,
}


def import_document(user: User, document: dict[str, Any]) -> GraphVersion:
    return import_graph(owner=user, document=document).version


def simulate(user: User, drain: Drain, version: GraphVersion, **asked: Any) -> Execution:
    run = start_execution(user=user, version=version, simulate=True, **{"input_data": {}, **asked})
    drain.run()
    run.refresh_from_db()
    assert run.status == Status.COMPLETED
    return run


def outputs_of(run: Execution) -> dict[str, list[Any]]:
    return outputs_by_name(RunOutput.objects.filter(execution=run).order_by("position").values_list("name", "value"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every look-up of a host be a failure of the test."""

    def refuse(host: Any, *_: Any, **__: Any) -> None:
        raise AssertionError(f"{host} was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_files_of_the_web_are_made_up_without_asking_anybody(user: User, drain: Drain, no_network: None) -> None:
    document = draw(
        {
            "store": (FILE_STORE, {"file_in": URL}),
            "again": (FILE_READ, {}),
            "read": (FILE_READ, {"file_input": URL}),
            "input": (FILE_INPUT, {"name": "file", "value": URL, "base_64": True}),
            "sheet": (SPREADSHEET, {"file_input": URL}),
            "stored": (OUTPUT, {"name": "stored"}),
            "text": (OUTPUT, {"name": "text"}),
            "uri": (OUTPUT, {"name": "uri"}),
            "rows": (OUTPUT, {"name": "rows"}),
        },
        [
            "store.file_out -> again.file_input",
            "again.content -> stored.value",
            "read.content -> text.value",
            "input.result -> uri.value",
            "sheet.rows -> rows.value",
        ],
    )

    run = simulate(user, drain, import_document(user, document))

    text = MADE_UP_FILE.content.decode()
    assert run.node_error_count == 0
    outputs = outputs_of(run)
    assert outputs["stored"] == outputs["text"] == [text]
    assert outputs["rows"] == [[{"name": "sample", "value": "1"}]]
    assert outputs["uri"][0].startswith("data:text/csv;base64,")


def counting(scope: str) -> dict[str, Any]:
    """Return a graph that recalls a number, remembers the next one, and recalls that."""
    return draw(
        {
            "before": (RETRIEVE, {"key": "count", "scope": scope}),
            "next": (CALCULATOR, {"operation": "Add", "b": 1}),
            "keep": (PERSIST, {"key": "count", "scope": scope}),
            "after": (RETRIEVE, {"key": "count", "scope": scope}),
            "was": (OUTPUT, {"name": "was"}),
            "is": (OUTPUT, {"name": "is"}),
        },
        [
            "before.value -> was.value",
            "before.value -> next.a",
            "next.result -> keep.value",
            "keep.value -> after.default_value",
            "after.value -> is.value",
        ],
    )


@pytest.mark.parametrize("scope", ["within_agent", "across_agents"])
def test_what_a_simulated_run_remembers_stays_with_it(user: User, drain: Drain, scope: str) -> None:
    version = import_document(user, counting(scope))
    memory = UserMemory(user.pk, version.graph_id)
    memory.set("count", 1, across_agents=scope == "across_agents")

    simulated = [simulate(user, drain, version) for _ in range(2)]
    real = start_execution(user=user, version=version, input_data={})
    drain.run()

    for run in (*simulated, real):
        assert outputs_of(run) == {"was": [1], "is": [2.0]}
    assert [stored.value for stored in StoredValue.objects.all()] == [2.0]
    assert SimulatedValue.objects.count() == 2
    assert not SimulatedValue.objects.filter(execution=real).exists()


def test_the_runs_of_a_simulated_tree_remember_together(user: User, drain: Drain) -> None:
    sub = draw(
        {
            "keep": (PERSIST, {"key": "theme", "value": "dark", "scope": "across_agents"}),
            "kept": (OUTPUT, {"name": "kept"}),
        },
        ["keep.value -> kept.value"],
    )
    sub["id"] = node_id("sub")
    described = {"input_schema": {"properties": {}}, "output_schema": {"properties": {"kept": {}}}}
    document = draw(
        {
            "agent": (AGENT, {"graph_id": sub["id"], "graph_version": 1, "inputs": {}, **described}),
            "after": (RETRIEVE, {"key": "theme", "scope": "across_agents"}),
            "is": (OUTPUT, {"name": "is"}),
        },
        ["agent.kept -> after.default_value", "after.value -> is.value"],
    )

    run = simulate(user, drain, import_document(user, {**document, "sub_graphs": [sub]}))

    assert outputs_of(run) == {"is": ["dark"]}
    assert SimulatedValue.objects.get().execution == run
    assert not StoredValue.objects.exists()


def asking(constants: dict[str, dict[str, Any]] | None = None) -> dict[str, Any]:
    """Return a graph with an input of each kind, whose values it returns under the same names."""
    nodes: dict[str, Any] = {
        name: (block_id, {"name": name, **(constants or {}).get(name, {})}) for name, block_id in INPUTS.items()
    }
    outputs = {f"{name} out": (OUTPUT, {"name": name}) for name in INPUTS}
    return draw(nodes | outputs, [f"{name}.result -> {name} out.value" for name in INPUTS])


def test_inputs_without_a_value_get_samples_of_their_types(user: User, drain: Drain) -> None:
    document = asking({"size": {"options": ["S", "M"]}, "file": {"base_64": True}})

    run = simulate(user, drain, import_document(user, document))

    outputs = outputs_of(run)
    (file,) = outputs.pop("file")
    assert file.startswith("data:text/csv;base64,")
    assert outputs == {
        "short": ["sample short"],
        "number": [1],
        "day": ["2024-01-31"],
        "clock": ["12:00:00"],
        "size": ["S"],
        "loud": [False],  # it has a value: no
        "any": ["sample any"],
    }
    assert sorted(run.input_data) == sorted(INPUTS.keys() - {"loud"})


def test_an_input_of_any_type_gets_what_the_first_pin_behind_it_wants(user: User, drain: Drain) -> None:
    document = draw(
        {
            "in": (INPUT, {"name": "in"}),
            "echo": (OUTPUT, {"name": "echo"}),
            "sum": (CALCULATOR, {"operation": "Add", "b": 34}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["in.result -> echo.value", "in.result -> sum.a", "sum.result -> out.value"],
    )

    run = simulate(user, drain, import_document(user, document))

    assert outputs_of(run) == {"echo": [1.0], "out": [35.0]}


def test_inputs_that_have_a_value_keep_it(user: User, drain: Drain) -> None:
    version = import_document(user, asking({"number": {"value": 0}, "size": {"options": []}}))
    ids = {node.metadata["customized_name"]: str(node.node_id) for node in version.nodes.all()}

    run = simulate(
        user,
        drain,
        version,
        input_data={"short": "mine", "file": None},
        nodes_input_masks={ids["day"]: {"value": "2000-01-01"}},
        mocks={ids["any"]: {"result": "mocked"}},
    )

    outputs = outputs_of(run)
    assert outputs["short"] == ["mine"]
    assert outputs["number"] == [0]
    assert outputs["day"] == ["2000-01-01"]
    assert outputs["any"] == ["mocked"]
    assert outputs["size"] == ["sample size"]
    assert "file" not in outputs
    assert sorted(run.input_data) == ["clock", "file", "short", "size"]


def test_an_input_that_a_link_fills_gets_no_sample(user: User, drain: Drain) -> None:
    document = draw(
        {"first": (INPUT, {"name": "first"}), "second": (INPUT, {"name": "second"}), "out": (OUTPUT, {"name": "out"})},
        ["first.result -> second.value", "second.result -> out.value"],
    )

    run = simulate(user, drain, import_document(user, document))

    assert run.input_data == {"first": "sample first"}
    assert outputs_of(run) == {"out": ["sample first"]}


def test_a_real_run_gets_no_samples(user: User, drain: Drain) -> None:
    run = start_execution(user=user, version=import_document(user, asking()), input_data={})
    drain.run()

    assert outputs_of(run) == {"loud": [False]}
    assert run.input_data == {}


def test_a_sub_run_of_a_simulated_run_gets_samples_too(user: User, drain: Drain) -> None:
    sub = draw({"in": (INPUT, {"name": "in"}), "out": (OUTPUT, {"name": "out"})}, ["in.result -> out.value"])
    sub["id"] = node_id("sub")
    described = {"input_schema": {"properties": {}}, "output_schema": {"properties": {"out": {}}}}
    document = draw(
        {
            "agent": (AGENT, {"graph_id": sub["id"], "graph_version": 1, "inputs": {}, **described}),
            "out": (OUTPUT, {"name": "out"}),
        },
        ["agent.out -> out.value"],
    )

    run = simulate(user, drain, import_document(user, {**document, "sub_graphs": [sub]}))

    assert outputs_of(run) == {"out": ["sample in"]}
