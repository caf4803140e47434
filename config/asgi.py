"""The ASGI application."""

import os

from django.core.asgi import get_asgi_application

from config.startup import require_broker, require_database

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

require_database()
require_broker()
application = get_asgi_application()
