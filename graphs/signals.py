"""What graphs tell whoever builds on them."""

from typing import Final

from django.dispatch import Signal

graph_given_up: Final = Signal()
"""A graph is about to be deleted, in the transaction that does it. Sent with `graph`, before `graph_deleted`; also for
each graph of an owner who is deleted.

Who decides when the graph runs notes it here, and locks rows of its own for that: no run of the graph is locked yet.
"""

graph_deleted: Final = Signal()
"""A graph is being deleted, in the transaction that does it. Sent with `graph`, once.

Who has something to stop does so.
"""

graph_keepers_asked: Final = Signal()
"""Whether a deleted graph can be removed is to be known. Sent with `graph`.

Who keeps something that tells of the graph returns True. It changes nothing: it is asked again and again.
"""
