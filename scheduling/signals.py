"""What this app tells others, in the transaction in which it happens: what a receiver writes is committed with it.

A receiver that fails keeps nobody from hearing, and nothing from happening, if it has a savepoint around what it does.
"""

from typing import Final

from django.dispatch import Signal

# A schedule can't run, for a reason other than the one before. `schedule` is the row; `reason` a sentence.
schedule_troubled: Final = Signal()

# A schedule was switched off because too many of its runs failed. `schedule` is the row; `reason` a sentence.
schedule_paused: Final = Signal()
