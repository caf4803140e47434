"""What graphs tell whoever builds on them."""

from typing import Final

from django.dispatch import Signal

graph_deleted: Final = Signal()
"""A graph is being deleted, in the transaction that does it. Sent with `graph`, once.

Who has something to stop does so.
"""

graph_keepers_asked: Final = Signal()
"""Whether a deleted graph can be removed is to be known. Sent with `graph`.

Who keeps something that tells of the graph returns True. It changes nothing: it is asked again and again.
"""
