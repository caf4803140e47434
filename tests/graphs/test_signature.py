"""What a graph takes and gives."""

from graphs.document import GraphDocument
from graphs.signature import input_schema, output_schema
from tests.graphs.building import CALCULATOR, INPUT, INTERFACES, OUTPUT, make_node


def test_inputs_without_a_value_are_required() -> None:
    document = GraphDocument(
        name="G",
        nodes=(make_node("a", INPUT, name="A"), make_node("b", INPUT, name="B", value=0), make_node("c", CALCULATOR)),
    )

    schema = input_schema(document, find=INTERFACES.get)

    assert list(schema["properties"]) == ["A", "B"]
    assert schema["required"] == ["A"]
    assert schema["properties"]["B"]["default"] == 0


def test_an_input_says_what_its_node_says() -> None:
    node = make_node("a", INPUT, name="A", title="T", description="D", advanced=True, options=["x", "y"])

    schema = input_schema(GraphDocument(name="G", nodes=(node,)), find=INTERFACES.get)

    shown = {"title": "T", "description": "D", "advanced": True, "secret": False, "enum": ["x", "y"]}
    assert schema["properties"] == {"A": shown}


def test_the_value_of_a_secret_input_is_not_shown() -> None:
    node = make_node("a", INPUT, name="A", secret=True, value="hunter2")

    assert "hunter2" not in str(input_schema(GraphDocument(name="G", nodes=(node,)), find=INTERFACES.get))


def test_outputs_are_those_of_the_output_nodes() -> None:
    nodes = (make_node("a", OUTPUT, name="Sum"), make_node("b", OUTPUT, name="Sum"), make_node("c", OUTPUT))

    schema = output_schema(GraphDocument(name="G", nodes=nodes), find=INTERFACES.get)

    assert list(schema["properties"]) == schema["required"] == ["Sum"]
