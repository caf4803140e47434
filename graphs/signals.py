"""What graphs tell whoever builds on them."""

from typing import Final

from django.dispatch import Signal

graph_deleted: Final = Signal()
"""A graph is being deleted, in the transaction that does it. Sent with `graph`.

Who has something to stop does so; who keeps something that tells of the graph returns True.
"""
