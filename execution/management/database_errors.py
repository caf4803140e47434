"""What a command says when the database can't do what it was asked."""

from django.db import Error
from psycopg.errors import UndefinedColumn, UndefinedTable


def explain_database_error(error: Error) -> str:
    """Return a sentence; only where tables or columns are missing it sends people to `manage.py migrate`."""
    reason = next(iter(str(error).strip().splitlines()), "it does not say why").rstrip(".")
    if isinstance(error.__cause__, UndefinedTable | UndefinedColumn):
        return f"The database's tables are not those of this version, see `manage.py migrate`: {reason}."
    return f"The database can't do that: {reason}."
