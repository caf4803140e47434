#!/usr/bin/env python
"""Django's command line, on the embedded servers unless others are named."""

import os
import sys

from django.core.management import execute_from_command_line

from config.startup import STARTUP_ERRORS, require_broker, require_database, require_tables

# These look at the code only.
WITHOUT_DATABASE = {"check", "collectstatic", "diffsettings", "help", "list_blocks", "spectacular", "version"}
WITH_BROKER = {"demo", "run_graph", "stack"}
# These lay out the tables themselves, or look at how they are laid out.
LAYING_OUT = {"demo", "flush", "makemigrations", "migrate", "showmigrations", "sqlmigrate", "stack", "test"}


def main() -> int:
    """Run the command; a server that can't be had is one sentence and exit code 1."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "help")
    is_asking = {"--help", "-h", "--version"} & set(sys.argv)
    try:
        if command not in WITHOUT_DATABASE and not is_asking:
            require_database()
        if command in WITH_BROKER and not is_asking:
            require_broker()
        if command not in WITHOUT_DATABASE | LAYING_OUT and not is_asking:
            require_tables()
        execute_from_command_line(sys.argv)
    except STARTUP_ERRORS as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
