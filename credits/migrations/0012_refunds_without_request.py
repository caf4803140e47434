"""Refunds that an admin makes unasked count for no week of their user's."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Allow no week."""

    dependencies = [("credits", "0011_most_top_ups_per_day")]

    operations = [
        migrations.AlterField(
            model_name="refundrequest",
            name="iso_week",
            field=models.CharField(blank=True, max_length=8, null=True),
        ),
    ]
