"""Runs as rows. A row is the truth; a message about it is a hint.

Values are kept in the `json` type (see `graphs.ordered_json`): the order of an object's keys is part of the value.
"""

from execution.models.node_executions import ClockCorrection, NodeExecution, PastAttempt, QueueProbe, Review
from execution.models.presets import MAX_PRESET_NAME_LENGTH, Preset
from execution.models.runs import MAX_LABEL_LENGTH, DeletedRun, Execution, OnError, OnInsufficientCredits, ShareLink
from execution.models.values import NodeInput, Output, RunOutput, SimulatedValue, StaticValue, StoredValue
from execution.models.wishes import KeptWishes

__all__ = [
    "ClockCorrection",
    "DeletedRun",
    "Execution",
    "KeptWishes",
    "MAX_LABEL_LENGTH",
    "MAX_PRESET_NAME_LENGTH",
    "NodeExecution",
    "NodeInput",
    "OnError",
    "OnInsufficientCredits",
    "Output",
    "PastAttempt",
    "Preset",
    "QueueProbe",
    "Review",
    "RunOutput",
    "ShareLink",
    "SimulatedValue",
    "StaticValue",
    "StoredValue",
]
