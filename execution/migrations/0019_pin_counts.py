from django.db import migrations, models

# What waits with many pins, in a run that goes on, is waited for by number from now on.
NUMBER_PINS = """
UPDATE execution_nodeinput i SET number = numbered.number
  FROM (SELECT p.node_execution_id, p.pin, row_number() OVER (PARTITION BY p.node_execution_id ORDER BY p.pin) AS number
          FROM execution_nodeinput p JOIN execution_nodeexecution n ON n.id = p.node_execution_id
         WHERE n.status = 'INCOMPLETE') AS numbered
 WHERE i.node_execution_id = numbered.node_execution_id AND i.pin = numbered.pin
"""


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
        migrations.RunSQL(NUMBER_PINS, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="nodeinput",
            index=models.Index(
                condition=models.Q(("number__gt", 16)), fields=["node_execution", "number"], name="node_input_count"
            ),
        ),
    ]
