"""Runs that are RUNNING and not admitted are found by whoever admits the next."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Change an index."""

    dependencies = [("execution", "0022_deleted_runs")]

    operations = [
        migrations.RemoveIndex(model_name="execution", name="execution_not_admitted"),
        migrations.AddIndex(
            model_name="execution",
            index=models.Index(
                condition=models.Q(("admitted", False), ("status__in", ["QUEUED", "RUNNING"])),
                fields=["user", "id"],
                name="execution_not_admitted",
            ),
        ),
    ]
