from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("config", "0005_suspended_keys"),
    ]

    operations = [
        migrations.AlterField(
            model_name="notice",
            name="kind",
            field=models.CharField(
                choices=[
                    ("SCHEDULE_TROUBLED", "Schedule Troubled"),
                    ("SCHEDULE_PAUSED", "Schedule Paused"),
                    ("LOW_BALANCE", "Low Balance"),
                    ("OUT_OF_CREDITS", "Out Of Credits"),
                    ("AUTO_TOP_UP_FAILED", "Auto Top Up Failed"),
                    ("AUTO_TOP_UP_PAUSED", "Auto Top Up Paused"),
                    ("REFUND_REQUESTED", "Refund Requested"),
                ],
                max_length=32,
            ),
        ),
    ]
