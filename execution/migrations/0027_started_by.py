"""What a run was started with or by: a preset, a schedule. Runs from before name neither."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add two columns."""

    dependencies = [("execution", "0026_spent_before_waits")]

    operations = [
        migrations.AddField(model_name="execution", name="preset_id", field=models.UUIDField(blank=True, null=True)),
        migrations.AddField(model_name="execution", name="schedule_id", field=models.UUIDField(blank=True, null=True)),
    ]
