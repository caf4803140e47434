"""The receipt of a stop, as the API and the command show it."""

from typing import Any

from rest_framework import serializers

from execution.store.stopping import Receipt

_COUNTS = "Node executions that were stopped, by the status they had."


class StoppedRunSerializer(serializers.Serializer[Any]):
    """One run of the tree."""

    graph_exec_id = serializers.UUIDField(source="id", help_text="The run's id.")
    parent_node_exec_id = serializers.UUIDField(
        source="parent_id", allow_null=True, help_text="Of a sub-run: the node execution that waited for it."
    )
    was = serializers.CharField(help_text="The status it had.")
    stopped = serializers.DictField(child=serializers.IntegerField(), help_text=_COUNTS)
    interrupted = serializers.ListField(
        child=serializers.UUIDField(), help_text="The node executions whose blocks were running."
    )
    completed = serializers.IntegerField(help_text="Node executions that had completed.")
    failed = serializers.IntegerField(help_text="Node executions that had failed.")


class ReceiptSerializer(serializers.Serializer[Receipt]):
    """What a stop did. Numbers are of the run and all runs below it, the cost is in credits."""

    graph_exec_id = serializers.UUIDField(source="execution_id", help_text="The run's id.")
    status = serializers.CharField(help_text="TERMINATED, or how the run had ended before.")
    had_ended = serializers.BooleanField(help_text="The run had ended before: nothing was changed in it.")
    stopped = serializers.DictField(child=serializers.IntegerField(), help_text=_COUNTS)
    completed = serializers.IntegerField(help_text="Node executions that had completed.")
    failed = serializers.IntegerField(help_text="Node executions that had failed.")
    cost = serializers.IntegerField(help_text="Credits.")
    runs = StoppedRunSerializer(many=True, help_text="The run, and those below it that were stopped with it.")


def describe_receipt(receipt: Receipt) -> str:
    """Say in one sentence what a stop did."""
    done = f"{receipt.completed} completed, {receipt.failed} failed before"
    if receipt.had_ended:
        return f"{receipt.execution_id} had ended {receipt.status}: {done}."
    stopped = ", ".join(f"{count} {was.lower()}" for was, count in receipt.stopped.items()) or "nothing"
    sub_runs = len(receipt.runs) - 1
    below = f" and {sub_runs} sub-run{'s' if sub_runs != 1 else ''}" if sub_runs else ""
    return f"{receipt.execution_id}{below} {receipt.status}: stopped {stopped}; {done}."
