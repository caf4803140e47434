"""What people are asked and answer is kept like other values from now on: what looks like a reference is wrapped."""

import json
from collections.abc import Callable
from typing import Any

from django.apps.registry import Apps
from django.core.files.storage import default_storage
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Q, TextField
from django.db.models.functions import Cast

SPECIAL = ("$stored", "$plain")
COLUMNS = ("data", "decided_data")
Change = Callable[[Any], Any]


def wrap(value: Any) -> Any:
    """Return the form in which a row keeps a value that is not large."""
    return {"$plain": value} if isinstance(value, dict) and len(value) == 1 and set(value) & set(SPECIAL) else value


def unwrap(form: Any) -> Any:
    """Return the value of such a form; a large one is fetched from the storage."""
    if not isinstance(form, dict) or len(form) != 1:
        return form
    if "$stored" in form:
        with default_storage.open(form["$stored"]["path"]) as file:
            return json.loads(file.read())
    return form.get("$plain", form)


def change_all(apps: Apps, change: Change) -> None:
    """Change the values of the reviews that have any that look special."""
    columns = {f"{name}_text": Cast(name, TextField()) for name in COLUMNS}
    special = Q()
    for column in columns:
        for key in SPECIAL:
            special |= Q(**{f"{column}__contains": f'"{key}"'})
    reviews = apps.get_model("execution", "Review").objects.annotate(**columns).filter(special)
    for review in reviews.only(*COLUMNS).iterator(chunk_size=100):
        review.data, review.decided_data = change(review.data), change(review.decided_data)
        review.save(update_fields=COLUMNS)


def forwards(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    """Wrap."""
    change_all(apps, wrap)


def backwards(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    """Unwrap."""
    change_all(apps, unwrap)


class Migration(migrations.Migration):
    dependencies = [
        ("execution", "0024_backlogs"),
    ]

    operations = [migrations.RunPython(forwards, backwards)]
