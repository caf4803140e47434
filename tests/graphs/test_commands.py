"""`manage.py import_graph` and `manage.py export_graph`."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from graphs.models import Graph
from tests.graphs.building import GMAIL_SEND, calculator_json, graph_json, node_json

pytestmark = pytest.mark.django_db


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "calculator.json"
    path.write_text(json.dumps(calculator_json()))
    return path


def run(*words: Any) -> str:
    out = io.StringIO()
    call_command(*map(str, words), stdout=out)
    return out.getvalue()


def test_importing_prints_what_was_made(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "mail.json"
    other.write_text(json.dumps(graph_json(node_json("a", GMAIL_SEND), sub_graphs=[calculator_json()])))

    lines = run("import_graph", file, other).splitlines()

    graphs = [str(graph.pk) for graph in Graph.objects.order_by("id")]
    assert lines[0] == f"{graphs[0]} v1 A graph"
    assert lines[1] == f"{graphs[1]} v1 A graph"
    assert lines[2] == f"  sub-graph {graphs[2]} v1 A graph"
    assert lines[3].startswith("  warning: GmailSendBlock")


def test_importing_can_print_json(file: Path) -> None:
    (shown,) = json.loads(run("import_graph", file, "--json"))

    graph = Graph.objects.get()
    assert shown == {"id": str(graph.pk), "version": 1, "name": "A graph", "sub_graphs": [], "warnings": []}


def test_the_standard_input_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO(json.dumps(calculator_json()).encode())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=content))

    assert "A graph" in run("import_graph", "-")


def test_the_owner_is_the_one_named(file: Path) -> None:
    User.objects.create_superuser("root")
    grace = User.objects.create_user("grace")

    run("import_graph", file, "--user", "grace")

    assert Graph.objects.get().owner == grace


def test_the_owner_is_the_superuser_if_nobody_is_named(file: Path) -> None:
    root = User.objects.create_superuser("root")

    run("import_graph", file)

    assert Graph.objects.get().owner == root


def test_the_owner_is_the_demo_user_if_there_is_nobody_else(file: Path) -> None:
    run("import_graph", file)
    run("import_graph", file)

    assert [graph.owner.get_username() for graph in Graph.objects.select_related("owner")] == ["demo", "demo"]
    assert not User.objects.get().has_usable_password()


@pytest.mark.parametrize(
    ("content", "told"),
    [("[1, 2", "not JSON"), ("{}", "has no “nodes”"), (None, "No such file or directory")],
)
def test_what_can_not_be_imported_is_one_line_that_names_the_file(
    tmp_path: Path, content: str | None, told: str
) -> None:
    path = tmp_path / "broken.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(CommandError) as refusal:
        run("import_graph", path)

    assert str(refusal.value).startswith(f"{path}: ")
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert refusal.value.returncode == 1


def test_an_unknown_user_is_told(file: Path) -> None:
    with pytest.raises(CommandError, match="There is no user “nobody”"):
        run("import_graph", file, "--user", "nobody")


def test_an_exported_graph_can_be_imported(file: Path, tmp_path: Path) -> None:
    run("import_graph", file)
    exported = tmp_path / "exported.json"

    run("export_graph", Graph.objects.get().pk, "--output", exported)
    run("import_graph", exported)

    assert Graph.objects.count() == 2


def test_a_graph_is_exported_to_the_standard_output(file: Path) -> None:
    run("import_graph", file)

    shown = json.loads(run("export_graph", Graph.objects.get().pk, "--version-number", 1))

    assert (shown["name"], len(shown["nodes"])) == ("A graph", 3)


@pytest.mark.parametrize("graph_id", ["0190f3f4-0000-7000-8000-000000000000", "no-id"])
def test_a_graph_that_is_not_there_can_not_be_exported(graph_id: str) -> None:
    with pytest.raises(CommandError, match=graph_id):
        run("export_graph", graph_id)
