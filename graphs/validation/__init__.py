"""Looks for problems in graphs, and reports all of them by node and field. Pure functions over `GraphDocument`."""

from graphs.validation.known_pins import knows_sink, knows_source
from graphs.validation.naming import describe_node
from graphs.validation.nesting import MAX_NESTING
from graphs.validation.running import (
    find_unavailable,
    missing_inputs,
    problems_for_run,
    refuse_unrunnable,
)
from graphs.validation.saving import WHOLE_GRAPH, Problems, problems_for_saving, refuse_unsavable
from graphs.validation.settings import explain_settings

__all__ = [
    "MAX_NESTING",
    "WHOLE_GRAPH",
    "Problems",
    "describe_node",
    "explain_settings",
    "find_unavailable",
    "knows_sink",
    "knows_source",
    "missing_inputs",
    "problems_for_run",
    "problems_for_saving",
    "refuse_unrunnable",
    "refuse_unsavable",
]
