"""What this app tells others, after the commit. A receiver that fails doesn't keep the others from hearing."""

from typing import Final

from django.dispatch import Signal

# A schedule can't run, for a reason that was not known before. `schedule` is the row; `reason` a sentence.
schedule_troubled: Final = Signal()

# A schedule was switched off because too many of its runs failed. `schedule` is the row; `reason` a sentence.
schedule_paused: Final = Signal()
