"""In which time zone a user lives."""

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser


def zone_of(user: AbstractBaseUser) -> str:
    """Return the name of the user's time zone (IANA): the one in their profile, else the installation's."""
    profile = getattr(user, "profile", None)
    return str(getattr(profile, "time_zone", None) or settings.TIME_ZONE)
