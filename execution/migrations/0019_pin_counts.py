from django.db import migrations, models

# What waits now has no numbers: as long as none is large all its pins are read, and the next one is numbered by them.


class Migration(migrations.Migration):
    dependencies = [
        ("execution", "0018_waits_in"),
    ]

    operations = [
        migrations.AddField(
            model_name="nodeinput",
            name="number",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddIndex(
            model_name="nodeinput",
            index=models.Index(
                condition=models.Q(("number__gt", 16)), fields=["node_execution", "number"], name="node_input_count"
            ),
        ),
    ]
