"""What estimates go by where a price is no matter of a quantity."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add an index."""

    dependencies = [
        ("credits", "0008_entries_of_all_by_time"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(
                condition=models.Q(("price_type__in", ["BYTE", "TOKENS"])),
                fields=["block_id", "price_type", "-id"],
                name="entry_without_quantity",
            ),
        ),
    ]
