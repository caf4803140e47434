"""The ASGI application."""

import os
import warnings

from django.core.asgi import get_asgi_application

from config.body_limit import LimitedBodies
from config.startup import look_for_broker, require_database

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Each request has a thread of its own here: a session that were kept would be of no use to the next request, and stay
# open until the garbage collector finds it.
os.environ.setdefault("DATABASE_SESSION_PER_REQUEST", "true")

# Whitenoise reads its files in a thread: they are small, and a proxy keeps them.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators")

require_database()
look_for_broker()
application = LimitedBodies(get_asgi_application())
