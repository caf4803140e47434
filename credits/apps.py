"""The app of what things cost and who has paid for them."""

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_save, pre_delete


class CreditsConfig(AppConfig):
    """Accounts, the ledger, prices, and the ways in which money comes in."""

    name = "credits"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have an account made with each user, and its holds released when the user goes."""
        from credits.accounts import close_account_of, open_account_of  # noqa: PLC0415 - models aren't loaded before
        from credits.notices import top_up_due  # noqa: PLC0415
        from credits.tasks import send_top_up  # noqa: PLC0415

        post_save.connect(open_account_of, sender=settings.AUTH_USER_MODEL, dispatch_uid="credits.open_account")
        pre_delete.connect(close_account_of, sender=settings.AUTH_USER_MODEL, dispatch_uid="credits.close_account")
        top_up_due.connect(send_top_up, dispatch_uid="credits.send_top_up")
