"""Which messages name what others may take all the same. Those from before none."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add a column."""

    dependencies = [("execution", "0027_started_by")]

    operations = [
        migrations.AddField(
            model_name="nodeexecution", name="is_shared", field=models.BooleanField(db_default=False, default=False)
        ),
    ]
