"""Real exported agents run to their ends, and every node fires as often as the rules say.

How often that is was worked out by hand, by the rules of `docs/semantics.md`; the machine in memory and the store must
both come to it.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db.models import Q
from pytest_django import Settings

from execution.engine.statuses import Status
from execution.models import Execution, NodeExecution, RunOutput
from execution.planning import GraphPlan, load_plan
from execution.services import start_execution
from graphs.models import GraphVersion
from graphs.services import import_graph
from tests.execution.agents_folder import AGENTS_FOLDER
from tests.execution.drain import Drain
from tests.execution.reference import outputs_by_name, run_in_memory
from tests.execution.simulated_reference import SimulatedTree

LIMIT = 100
FILES = sorted(AGENTS_FOLDER.glob("*.json"))
CALCULATOR = AGENTS_FOLDER / "calculator-agent.json"
LEGACY = AGENTS_FOLDER / "legacy_async_bug_graph_v27.json"
NEWSLETTER = AGENTS_FOLDER / "agent_00fdd42c-a14c-4d19-a567-65374ea0e87f.json"

# Its bot answers itself: what it stores after each message is the token that lets it read the next one.
ENDLESS = frozenset({"template_Discord_Bot_Chat_To_LLM_v5.json"})

# By file: how often nodes fire (their ids begin so) in a simulation without inputs. All others never do.
FIRINGS: Mapping[str, Mapping[int, str]] = {
    # The sample of an answer is no XML: the walk goes to the output “Error”.
    NEWSLETTER.name: {1: "35f3a0 7b9333 2b4788 6c6cff c46b73 68883c c991c7 e4eecf 65e276 a50c18 3f1f1b"},
    # One prompt goes to four image models, each of which has a picture for the one output.
    "agent_31daf49d-31d3-476b-aa4c-099abc59b458.json": {1: "7e026d 7543b9 28bda7 e7cdc1 576c56 86665e", 4: "5ac372"},
    "agent_516d813b-d1bc-470f-add7-c63a4b2c2bad.json": {1: "4eab3a 844530 0fd6ef c5d16e 26ff29"},
    # The sample of a place is an empty dictionary: none of the six look-ups finds anything.
    "agent_a548e507-09a7-4b30-909c-f63fcda10fff.json": {
        1: "46381f 4b7851 47b5c5 3e71a1 e382ef fcb277 a30f45 7d54d6 350280 bc185c 891698 03d3b2",
    },
    # No XML either. The counter of tries waits for an error of the model, so nothing is counted.
    "agent_b6f6f0d3-49f4-4e3b-8155-ffe9141b32c0.json": {1: "524bd1 694737 6214aa ed14af 2105e9 63c243 7e0012"},
    # One video is found; its transcript joins the list, which then is longer than the number of videos.
    "agent_c775f60d-b99f-418b-8fe0-53172258c3ce.json": {
        1: "5275b3 0b2bfa 46ec84 ac2654 fafb0d 39cd36 a5c6d8 b4a853 49ac5b 133946 6231df c38521 a563e3 412ab7",
    },
    "agent_d85882b8-633f-44ce-a315-c20a8c123d19.json": {1: "6f24c4 0d1bca 50bc23 0d1dec"},
    "agent_e7bb29a1-23c7-4fee-aa3b-5426174b8c52.json": {
        1: "41fea0 e236e4 54b176 865d00 19d45e 1400ee 343cce 36dc18 804f74 042473 5b5fbc 04eab0 4d4971",
    },
    CALCULATOR.name: {1: "6762da bf4a15 65429c"},
    # Four items, each on a fast and on a slow path through twelve nodes.
    LEGACY.name: {
        1: "b875a2 8c7848",
        4: "ee1aa2 672dc7 8629f4 a79640 b88a15 7920e6 1bf74f d1b1e3 b7eb12 e6f620 a8ee57 352967",
    },
    # The sample of a response is an empty dictionary: without a title and a text nothing is published.
    "template_Medium_Blogger_v28.json": {1: "382efa a6fbbb 0cd8f6 4a15b6"},
    "testing_agent.json": {1: "c5e2d5"},
}

# What nodes of the newsletter emit instead of samples, so that the walk goes through its sub-graphs to its last node.
ANSWERS = {
    "65e276": {"parsed_xml": {"title": "News", "body": "Two stories."}},
    "0a54fa": {"response": "<stories><story>One</story><story>Two</story></stories>"},
    "c05f2d": {"result": {"status": "sent"}},
}
FIRINGS_WITH_ANSWERS: Mapping[int, str] = {
    1: (
        "35f3a0 7b9333 2b4788 6c6cff c46b73 68883c c991c7 e4eecf 65e276 3f1f1b b3cd69 8380fb 0a54fa e94bcd 58df8a"
        " 37a4eb 56e0a2 7abc71 662b0b 131f49 fe3b8c bb1421 1da0b3"
        # “Text to Email Report”, once
        " 22f239 b845d0 93e1b3 8f27e2 87e234 0b3ef6 c05f2d 03f800"
    ),
    # Each of the two stories; “Image Search” runs for each.
    2: "5c52e3 2d0abd a95ad0 fb8d7f d21a61 0b91fb e4727d 42288c d6de58 cc3dd5 9f5506 c487e2",
}

pytestmark = pytest.mark.django_db(transaction=True)


class Imported:
    """An agent in the database, whose nodes are still known by the ids of its file."""

    def __init__(self, user: User, file: Path) -> None:
        document = json.loads(file.read_text())
        self.version = import_graph(owner=user, document=document).version
        self.plan = load_plan(self.version.pk)
        self.old_ids: dict[UUID, str] = {}
        for graph in (document, *document.get("sub_graphs", [])):
            version = GraphVersion.objects.get(graph__owner=user, name=graph["name"])
            pairs = zip(version.nodes.order_by("position"), graph["nodes"], strict=True)
            self.old_ids |= {node.node_id: old["id"] for node, old in pairs}

    def find_node(self, prefix: str) -> UUID:
        """Return the id of the node whose id began so in the file."""
        (found,) = (node_id for node_id, old in self.old_ids.items() if old.startswith(prefix))
        return found

    def expect(self, firings: Mapping[int, str]) -> Counter[UUID]:
        """Return an entry of the table as a count by node."""
        return Counter(
            {self.find_node(prefix): times for times, prefixes in firings.items() for prefix in prefixes.split()}
        )


@pytest.fixture(autouse=True)
def loops_end_soon(settings: Settings) -> None:
    settings.MAX_NODE_EXECUTIONS_PER_RUN = LIMIT


def find_plan(graph_id: UUID, version: int) -> GraphPlan:
    return load_plan(GraphVersion.objects.get(graph_id=graph_id, version=version).pk)


def run_to_its_end(user: User, drain: Drain, agent: Imported, **asked: Any) -> Execution:
    run = start_execution(user=user, version=agent.version, **{"input_data": {}, **asked})
    drain.run(order=random.Random(7))
    run.refresh_from_db()
    assert run.ended_at is not None
    open_statuses = [Status.QUEUED, Status.RUNNING, Status.SUSPENDED, Status.REVIEW]
    assert not NodeExecution.objects.filter(_in_tree(run), status__in=open_statuses).exists()
    return run


def _in_tree(run: Execution) -> Q:
    return Q(execution=run) | Q(execution__root=run)


def count_firings(run: Execution) -> Counter[UUID]:
    """Return how often each node fired, in the run and those below it."""
    fired = NodeExecution.objects.filter(_in_tree(run)).exclude(status=Status.INCOMPLETE)
    return Counter(fired.values_list("node_id", flat=True))


def outputs_of(run: Execution) -> dict[str, list[Any]]:
    return outputs_by_name(RunOutput.objects.filter(execution=run).order_by("position").values_list("name", "value"))


def files_that_end() -> Iterator[Path]:
    yield from (file for file in FILES if file.name not in ENDLESS)


@pytest.mark.parametrize("file", files_that_end(), ids=lambda file: file.name)
def test_an_agent_is_walked_through_to_its_end(user: User, drain: Drain, file: Path) -> None:
    agent = Imported(user, file)
    tree = SimulatedTree(find_plan, mocks={}, limit=LIMIT)
    machine = tree.run(agent.plan, {})

    run = run_to_its_end(user, drain, agent, simulate=True)

    assert (run.status, machine.status) == (Status.COMPLETED, Status.COMPLETED)
    assert count_firings(run) == tree.count_firings()
    assert outputs_of(run) == outputs_by_name(machine.outputs)
    assert len(run.warnings) == len(machine.warnings())
    if file.name in FIRINGS:
        assert count_firings(run) == agent.expect(FIRINGS[file.name])


@pytest.mark.parametrize("file", [file for file in FILES if file.name in ENDLESS], ids=lambda file: file.name)
def test_an_agent_that_never_ends_is_ended_by_the_loop_guard(user: User, drain: Drain, file: Path) -> None:
    run = run_to_its_end(user, drain, Imported(user, file), simulate=True)

    assert run.status == Status.FAILED
    assert f"more than {LIMIT} node executions" in run.error


@pytest.mark.parametrize("file", [file for file in FILES if file == NEWSLETTER], ids=lambda file: file.name)
def test_with_sensible_answers_the_newsletter_goes_through_its_sub_graphs(user: User, drain: Drain, file: Path) -> None:
    agent = Imported(user, file)
    mocks = {str(agent.find_node(prefix)): answer for prefix, answer in ANSWERS.items()}
    tree = SimulatedTree(find_plan, mocks=mocks)
    machine = tree.run(agent.plan, {})

    run = run_to_its_end(user, drain, agent, simulate=True, mocks=mocks)

    assert run.status == Status.COMPLETED
    assert count_firings(run) == tree.count_firings() == agent.expect(FIRINGS_WITH_ANSWERS)
    assert outputs_of(run) == outputs_by_name(machine.outputs)
    assert Execution.objects.filter(root=run, status=Status.COMPLETED).count() == len(tree.machines) - 1 == 3


@pytest.mark.parametrize("file", [file for file in FILES if file == CALCULATOR], ids=lambda file: file.name)
def test_the_calculator_calculates(user: User, drain: Drain, file: Path) -> None:
    agent = Imported(user, file)

    run = run_to_its_end(user, drain, agent, input_data={"Input": 7})

    assert run.status == Status.COMPLETED
    assert outputs_of(run) == {"Output": [41]}
    assert count_firings(run) == agent.expect(FIRINGS[file.name])


@pytest.mark.parametrize("file", [file for file in FILES if file == LEGACY], ids=lambda file: file.name)
def test_the_slow_path_and_the_fast_path_of_an_old_graph_keep_together(user: User, drain: Drain, file: Path) -> None:
    agent = Imported(user, file)
    machine = run_in_memory(agent.plan, {})

    run = run_to_its_end(user, drain, agent)

    assert run.status == Status.COMPLETED
    assert run.opened == run.node_count == len(machine.steps) == 50
    assert run.node_error_count == 0
    assert count_firings(run) == agent.expect(FIRINGS[file.name])
    printed = NodeExecution.objects.filter(
        execution=run, node_id__in=[agent.find_node("8629f4"), agent.find_node("352967")]
    )
    lines = Counter(printed.values_list("log", flat=True))
    assert lines == Counter(
        f"{path} Path Item is {item} same as {item}\n"
        for path in ("Slow", "Fast")
        for item in ("one", "two", "three", "four")
    )
