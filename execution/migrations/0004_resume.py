from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("execution", "0003_simulated_values"),
    ]

    operations = [
        migrations.AddField(
            model_name="execution",
            name="resumptions",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name="pastattempt",
            name="outcome",
            field=models.CharField(
                choices=[
                    ("FAILED", "Failed"),
                    ("LOST", "Lost"),
                    ("HANDED_BACK", "Handed Back"),
                    ("STOPPED", "Stopped"),
                ],
                max_length=16,
            ),
        ),
    ]
