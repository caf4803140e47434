"""The ASGI application."""

import os

from django.core.asgi import get_asgi_application

from config.startup import look_for_broker, require_database

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

require_database()
look_for_broker()
application = get_asgi_application()
