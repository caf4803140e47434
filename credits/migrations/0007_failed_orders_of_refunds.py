"""How often ordering a refund has come to nothing: each order has an idempotency key of its own at the provider."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add a counter."""

    dependencies = [("credits", "0006_place_of_a_run")]

    operations = [
        migrations.AddField(
            model_name="refundrequest",
            name="failed_orders",
            field=models.IntegerField(db_default=0, default=0),
        ),
    ]
