import django.db.models.deletion
from django.db import migrations, models

import graphs.ordered_json


class Migration(migrations.Migration):
    dependencies = [
        ("execution", "0002_recovery"),
        ("graphs", "0002_immutable_versions"),
    ]

    operations = [
        migrations.CreateModel(
            name="SimulatedValue",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.TextField()),
                ("value", graphs.ordered_json.OrderedJSONField(null=True)),
                (
                    "execution",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="simulated_values",
                        to="execution.execution",
                    ),
                ),
                (
                    "graph",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="graphs.graph",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("execution", "graph", "key"),
                        name="one_simulated_value_per_key",
                        nulls_distinct=False,
                    )
                ],
            },
        ),
    ]
