"""Recovery looks after refunds until the money has gone, not only until the provider has them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Find both by one index."""

    dependencies = [("credits", "0012_refunds_without_request")]

    operations = [
        migrations.RemoveIndex(model_name="refundrequest", name="refund_not_sent"),
        migrations.AddIndex(
            model_name="refundrequest",
            index=models.Index(condition=models.Q(("status", "APPROVED")), fields=["id"], name="refund_under_way"),
        ),
    ]
