"""What belongs to an account: its profile, its API keys, and what its user is told.

A profile is made with its user by a trigger (see the migration `0001_accounts`), so every user has one, whichever way
the user came in. Of a key only a digest is kept: whoever reads the database can't use it.
"""

from enum import StrEnum

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from graphs.models import new_id

MAX_ZONE_LENGTH = 64
MAX_KEY_NAME_LENGTH = 100
SHOWN_LENGTH = 12
MAX_IDEMPOTENCY_KEY_LENGTH = 255


class Scope(StrEnum):
    """What a key may do. A view asks for one by its value (see `config.accounts.permissions`)."""

    READ = "read"
    EXECUTE = "execute"
    WRITE = "write"
    CREDITS = "credits"


class Profile(models.Model):
    """What we know of a user besides their login. `chosen_time_zone` is an IANA name, empty until one is chosen."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="profile"
    )
    chosen_time_zone = models.CharField("time zone", max_length=MAX_ZONE_LENGTH, blank=True, default="", db_default="")

    def __str__(self) -> str:
        """Name the user."""
        return str(self.user)

    @property
    def time_zone(self) -> str:
        """The user's time zone (IANA name): the chosen one, else the installation's."""
        return self.chosen_time_zone or settings.TIME_ZONE


class ApiKey(models.Model):
    """A key by which programs act for a user. `shown` is its beginning, `digest` the SHA-256 of the whole, in hex.

    `last_used_at` is exact to a minute.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys", db_index=False
    )
    name = models.CharField(max_length=MAX_KEY_NAME_LENGTH)
    shown = models.CharField("beginning", max_length=SHOWN_LENGTH, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=16, choices=[(scope.value, scope.value) for scope in Scope]))
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)
    suspended_at = models.DateTimeField(null=True, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "API key"
        ordering = ["-id"]
        indexes = [
            # The list of a user's keys, newest first.
            models.Index(fields=["user", "-id"], name="api_key_list_of_user"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(scopes__contained_by=[scope.value for scope in Scope]) & ~Q(scopes=[]),
                name="api_key_scopes_known",
            ),
        ]

    def __str__(self) -> str:
        """Show the beginning and the name."""
        return f"{self.shown}… {self.name}"


class IdempotencyRecord(models.Model):
    """What was answered to a request that was sent under an `Idempotency-Key`: the same is answered again.

    It is written in the transaction of what the request did. `body` is JSON text, empty if there was no content.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=MAX_IDEMPOTENCY_KEY_LENGTH)
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="one_answer_per_idempotency_key")]
        indexes = [
            # Forgetting.
            models.Index(fields=["created_at"], name="idempotency_record_by_age"),
        ]

    def __str__(self) -> str:
        """Show the key."""
        return self.key


class Notice(models.Model):
    """Something that a user is told, written in the transaction in which it happened.

    `about` names what it is about: {"schedule_id": …, "graph_id": …}. It `awaits_mail` until it was sent by e-mail, if
    notices are.
    """

    class Kind(models.TextChoices):
        """What it tells of."""

        SCHEDULE_TROUBLED = "SCHEDULE_TROUBLED"
        SCHEDULE_PAUSED = "SCHEDULE_PAUSED"
        LOW_BALANCE = "LOW_BALANCE"
        OUT_OF_CREDITS = "OUT_OF_CREDITS"
        AUTO_TOP_UP_FAILED = "AUTO_TOP_UP_FAILED"
        AUTO_TOP_UP_PAUSED = "AUTO_TOP_UP_PAUSED"
        REFUND_REQUESTED = "REFUND_REQUESTED"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    kind = models.CharField(max_length=32, choices=Kind.choices)
    text = models.TextField()
    about = models.JSONField(default=dict)
    awaits_mail = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    read_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["user", "-id"], name="notice_list_of_user"),
            # Mailing; forgetting.
            models.Index(fields=["user", "id"], condition=Q(awaits_mail=True), name="notice_awaits_mail"),
            models.Index(fields=["created_at"], name="notice_by_age"),
        ]

    def __str__(self) -> str:
        """Tell it."""
        return self.text
