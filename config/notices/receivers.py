"""Who hears what other apps say has happened."""

from config.notices.telling import tell_of_credits, tell_of_pause, tell_of_trouble
from credits.notices import noticed
from scheduling.signals import schedule_paused, schedule_troubled

noticed.connect(tell_of_credits, dispatch_uid="config.tell_of_credits")
schedule_troubled.connect(tell_of_trouble, dispatch_uid="config.tell_of_trouble")
schedule_paused.connect(tell_of_pause, dispatch_uid="config.tell_of_pause")
