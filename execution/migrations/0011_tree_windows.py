"""A run and the runs below it share one window of messages."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("execution", "0010_limits_from"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="nodeexecution", name="node_execution_sent"),
        migrations.RemoveIndex(model_name="nodeexecution", name="node_execution_held_back"),
        migrations.AddField(model_name="nodeexecution", name="tree_id", field=models.UUIDField(null=True)),
        migrations.RunSQL(
            "UPDATE execution_nodeexecution n SET tree_id = COALESCE(e.root_id, e.id)"
            " FROM execution_execution e WHERE e.id = n.execution_id",
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(model_name="nodeexecution", name="tree_id", field=models.UUIDField()),
        migrations.AddIndex(
            model_name="nodeexecution",
            index=models.Index(
                condition=Q(("held_back", False), ("status", "QUEUED")), fields=["tree_id", "queue"], name="tree_sent"
            ),
        ),
        migrations.AddIndex(
            model_name="nodeexecution",
            index=models.Index(
                condition=Q(("held_back", True), ("status", "QUEUED")),
                fields=["tree_id", "queue", "id"],
                name="tree_held_back",
            ),
        ),
        migrations.AddIndex(
            model_name="nodeexecution",
            index=models.Index(
                condition=Q(("status", "REVIEW")), fields=["execution"], name="node_execution_in_review"
            ),
        ),
    ]
