"""What sums and lists over all users go by: the time, and the type of what is rare."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations, models


class Migration(migrations.Migration):
    """Add two indexes."""

    dependencies = [("credits", "0007_failed_orders_of_refunds")]

    operations = [
        migrations.AddIndex(
            model_name="ledgerentry",
            index=BrinIndex(fields=["created_at"], name="entry_of_all_by_time", pages_per_range=16, autosummarize=True),
        ),
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(
                condition=models.Q(("type", "USAGE"), _negated=True), fields=["type", "-id"], name="entry_not_used"
            ),
        ),
    ]
