"""What others may take although a message names it is found by its tree of runs."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """Add an index, while runs go on."""

    atomic = False

    dependencies = [("execution", "0028_shared_messages")]

    operations = [
        AddIndexConcurrently(
            model_name="nodeexecution",
            index=models.Index(
                condition=models.Q(("held_back", False), ("is_shared", True), ("status", "QUEUED")),
                fields=["tree_id"],
                name="tree_shared",
            ),
        ),
    ]
