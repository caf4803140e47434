"""An account for every user that is there already, with the credits that a new user gets."""

from django.conf import settings
from django.db import migrations


def open_accounts(apps, schema_editor):
    """Open the accounts and grant the initial credits."""
    account_model = apps.get_model("credits", "Account")
    user_ids = apps.get_model(settings.AUTH_USER_MODEL).objects.order_by("pk").values_list("pk", flat=True)
    account_model.objects.bulk_create(
        (account_model(user_id=key) for key in user_ids.iterator()), batch_size=1000, ignore_conflicts=True
    )
    if settings.INITIAL_CREDITS > 0:
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(
                "SELECT credits_post(user_id, 'initial:' || user_id, 'GRANT', %s, %s)"
                " FROM credits_account WHERE user_id IS NOT NULL ORDER BY id",
                [settings.INITIAL_CREDITS, '{"reason": "Initial credits"}'],
            )


class Migration(migrations.Migration):
    """Open accounts for existing users."""

    dependencies = [
        ("credits", "0002_laws"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.RunPython(open_accounts, migrations.RunPython.noop)]
