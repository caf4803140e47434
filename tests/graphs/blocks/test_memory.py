"""What one run keeps, another recalls: within a graph or across all of the user's."""

from graphs.blocks.memory import PersistInformationBlock, RetrieveInformationBlock
from tests.graphs.blocks.context import MemoryOfOneRun, make_context
from tests.graphs.blocks.running import run_block


def test_what_was_kept_is_recalled() -> None:
    context = make_context()

    kept = run_block(PersistInformationBlock(), {"key": "k", "value": [1, {"a": 2}]}, context=context)
    recalled = run_block(RetrieveInformationBlock(), {"key": "k", "default_value": "none"}, context=context)

    assert kept.outputs == recalled.outputs == [("value", [1, {"a": 2}])]


def test_the_scopes_do_not_see_each_other() -> None:
    memory = MemoryOfOneRun()
    context = make_context(memory=memory)

    run_block(PersistInformationBlock(), {"key": "k", "value": 1}, context=context)
    run_block(PersistInformationBlock(), {"key": "k", "value": 2, "scope": "across_agents"}, context=context)

    assert memory.within_agent == {"k": 1}
    assert memory.across_agents == {"k": 2}
    recalled = run_block(RetrieveInformationBlock(), {"key": "k", "scope": "across_agents"}, context=context)
    assert recalled.outputs == [("value", 2)]


def test_a_falsy_value_is_recalled_but_none_is_not() -> None:
    for kept, recalled in [(0, 0), ("", ""), (False, False), (None, "default")]:
        context = make_context(memory=MemoryOfOneRun({"k": kept}))

        ran = run_block(RetrieveInformationBlock(), {"key": "k", "default_value": "default"}, context=context)

        assert ran.outputs == [("value", recalled)]


def test_recalling_always_emits() -> None:
    assert run_block(RetrieveInformationBlock(), {"key": "nothing"}).outputs == [("value", None)]
    assert RetrieveInformationBlock.static_output
